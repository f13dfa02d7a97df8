"""`standpipe rebuild` ends in what live writing has made, whatever was wrong before and whatever happens meanwhile."""
import subprocess
import time
from pathlib import Path

import pytest

from harness.process import clean_environment
from harness.waiting import wait_until

BUILT_IN = Path(__file__).resolve().parents[2] / "conf" / "tables.conf"
DONE, FAILED, USAGE, UNREACHABLE = 0, 1, 2, 3


def typed_tables(database, kind="rows"):
    found = database.query("SELECT name FROM standpipe_tables WHERE kind = %s ORDER BY name", kind)
    return [name for (name,) in found]


@pytest.fixture
def filled(setup, start_relay, generated):
    """All events written live, and what the tables are then."""
    setup.relay = start_relay(generated.frames)
    daemon = setup.run(relay__cursor="oldest")
    setup.wait_drained(generated.last_sequence)
    assert daemon.terminate() == 0
    live = setup.database.typed()
    assert sum(map(len, live.values())) > 500
    return live


def wreck(database):
    """Rows lost, rows changed, rows that nobody wrote, counts that are wrong."""
    for name in typed_tables(database):
        database.query(f"DELETE FROM \"standpipe_{name}\" WHERE hashtext(uri) % 2 = 0")
        database.query(f"UPDATE \"standpipe_{name}\" SET rkey = 'wrong' WHERE hashtext(uri) % 3 = 0")
    database.query("INSERT INTO standpipe_likes (uri, did, rkey, cid, rev, indexed_at)"
                   " VALUES ('at://did:plc:ghost/app.bsky.feed.like/1', 'did:plc:ghost', '1', 'b', '2', now())")
    database.query("UPDATE post_counts SET like_count = like_count + 7 WHERE hashtext(uri) % 2 = 0")
    database.query("DELETE FROM actor_counts WHERE hashtext(did) % 2 = 0")
    database.query("INSERT INTO actor_counts (did, post_count) VALUES ('did:plc:nobody', 3)")


def test_rebuild_makes_what_live_writing_has_made(setup, filled):
    wreck(setup.database)
    assert setup.database.typed() != filled
    done = setup.command("rebuild", "all")
    assert done.returncode == DONE, done.stderr
    assert setup.database.typed() == filled
    assert "likes: " in done.stdout and "post_counts: " in done.stdout
    assert setup.database.scalar("SELECT count(*) FROM standpipe_tables WHERE NOT filled OR rebuild IS NOT NULL") == 0


def test_each_table_alone_keeps_its_counts_right(setup, filled):
    for name in typed_tables(setup.database):
        setup.database.query(f'UPDATE "standpipe_{name}" SET rev = rev')
        assert setup.command("rebuild", name).returncode == DONE
    assert setup.database.typed() == filled


def test_a_rebuild_that_was_killed_goes_on_where_it_was(setup, filled):
    wreck(setup.database)
    command = [setup.program, "rebuild", "all", *setup.arguments()]
    progress = "SELECT count(*) FROM standpipe_tables WHERE rebuild IS NOT NULL OR filled"
    setup.database.query("UPDATE standpipe_tables SET filled = false")
    kills = 0
    for _ in range(40):
        before = setup.database.query("SELECT name, filled, rebuild FROM standpipe_tables ORDER BY name")
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=clean_environment())
        wait_until(
            lambda: process.poll() is not None
            or setup.database.query("SELECT name, filled, rebuild FROM standpipe_tables ORDER BY name") != before,
            "the rebuild has gone on", 60)
        if process.poll() is None:
            process.kill()
            kills += 1
        if process.wait(60) == DONE:
            break
        assert setup.database.scalar(progress) > 0
        if kills > 5:
            assert setup.command("rebuild", "all").returncode == DONE
            break
    assert kills > 0
    assert setup.database.typed() == filled


def test_a_rebuild_beside_a_living_daemon_loses_and_doubles_nothing(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames, "--rate", 600)
    daemon = setup.run(relay__cursor="oldest")
    wait_until(lambda: setup.queued() > 100 and setup.database.has("standpipe_tables"), "it ingests", 60, [daemon.process])
    deadline, runs = time.monotonic() + 60, 0
    while setup.queued() < generated.last_sequence and time.monotonic() < deadline:
        assert setup.command("rebuild", "all").returncode == DONE
        runs += 1
    setup.wait_drained(generated.last_sequence)
    assert daemon.terminate() == 0 and runs > 0
    live = setup.database.typed()
    assert setup.command("rebuild", "all").returncode == DONE
    assert setup.database.typed() == live


def test_a_table_that_was_described_later_is_filled(setup, filled, folder):
    path = folder / "more.conf"
    path.write_text(BUILT_IN.read_text() + "\n[texts]\ncollection = app.bsky.feed.post\nbody = text text\n")
    more = {"postgres.tables_file": str(path)}
    assert setup.command("migrate", overrides=more).returncode == DONE
    assert setup.database.scalar("SELECT filled FROM standpipe_tables WHERE name = 'texts'") is False
    assert setup.command("rebuild", "texts", overrides=more).returncode == DONE
    assert setup.database.scalar("SELECT count(*) FROM standpipe_texts") == len(filled["posts"])
    assert setup.database.scalar("SELECT count(*) FROM texts t JOIN standpipe_posts p USING (uri) WHERE t.body = p.text") > 0
    assert setup.database.scalar("SELECT filled FROM standpipe_tables WHERE name = 'texts'") is True


def test_a_rebuild_that_a_migration_overtakes_says_so_and_fills_nothing(setup, filled, folder):
    path = folder / "wider.conf"
    path.write_text(BUILT_IN.read_text().replace("[likes]\n", "[likes]\nnote = text note\n"))
    wider = {"postgres.tables_file": str(path)}
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with setup.database.connect() as holder:
        holder.execute("BEGIN")
        holder.execute("SELECT FROM repos FOR UPDATE")
        process = subprocess.Popen([setup.program, "rebuild", "likes", *setup.arguments()], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, env=clean_environment(), text=True)
        wait_until(lambda: setup.database.scalar(waiting) > 0, "the rebuild waits", 60)
        migrated = setup.command("migrate", overrides=wider)
        assert migrated.returncode == DONE, migrated.stderr
        holder.execute("ROLLBACK")
    _, said = process.communicate(timeout=60)
    assert process.returncode == FAILED and "likes: `standpipe migrate` changed its description" in said, said
    state = "SELECT filled, rebuild FROM standpipe_tables WHERE name = 'likes'"
    assert setup.database.query(state) == [(False, None)]
    assert setup.command("rebuild", "likes", overrides=wider).returncode == DONE
    assert setup.database.query(state) == [(True, None)]


def test_what_cannot_be_rebuilt_is_said(setup):
    wrong = setup.command("rebuild", "nothing_of_this_name")
    assert wrong.returncode == USAGE and "no such table" in wrong.stderr
    assert setup.command("rebuild").returncode == USAGE
    early = setup.command("rebuild", "posts")
    assert early.returncode == FAILED and "standpipe migrate" in early.stderr
    away = setup.command("rebuild", "posts", overrides={"postgres.url": "postgresql://127.0.0.1:1/nothing"})
    assert away.returncode == UNREACHABLE
