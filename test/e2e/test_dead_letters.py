"""Dead letters on the command line: found, tried again, let go; in PostgreSQL and in their mirror."""
import json

import pytest

from handmade import Create, Repo, Sequence, frame, write_frames
from harness.waiting import wait_until

DONE, FAILED, USAGE, UNREACHABLE = 0, 1, 2, 3
DID = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
OTHER = "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"
MIRROR = "firehose:dead-letters"
LETTERS = "SELECT count(*) FROM standpipe_dead_letters"
# The operator's own rule, to be mended later.
RULE = "ALTER TABLE standpipe_records ADD CONSTRAINT short CHECK (length(record::text) < 100)"
MENDED = "ALTER TABLE standpipe_records DROP CONSTRAINT short"


def dead(setup, *words, code=DONE, **options):
    done = setup.command("dead", *words, **options)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done


def dead_json(setup, *words, code=DONE):
    return json.loads(dead(setup, *words, "--json", code=code).stdout)


def mirrored(setup):
    return setup.redis.client.xlen(MIRROR)


def add_letters(setup, count, reason="bad path", since="now()"):
    """Rows as a sink writes them; the same with an entry each, as the courier mirrors them."""
    for _ in range(count):
        entry = setup.redis.client.xadd(MIRROR, {"type": "commit"}).decode()
        setup.database.query(
            "INSERT INTO standpipe_dead_letters (host, epoch, seq, op, reason, did, collection, rkey, type, data,"
            f" mirror_id, created_at) VALUES ('h', 7, (SELECT coalesce(max(seq), 0) + 1 FROM standpipe_dead_letters),"
            f" 0, %s, %s, 'app.bsky.feed.post', 'x', 'commit', '{{}}', %s, {since})",
            reason,
            DID,
            entry,
        )


@pytest.fixture
def migrated(setup):
    assert setup.command("migrate").returncode == DONE
    return setup


@pytest.fixture
def refused(setup, start_relay, folder):
    """Two posts: the long one breaks the rule and is a dead letter; and a frame that is none."""
    assert setup.command("migrate").returncode == DONE
    setup.database.query(RULE)
    repo = Repo(Sequence(), DID)
    post = "app.bsky.feed.post"
    frames = [repo.commit(Create(f"{post}/short", {"text": "a"}), Create(f"{post}/long", {"text": "a" * 500}))]
    frames += [b"\xff\xfe garbage", repo.identity("somebody.test")]
    setup.relay = start_relay(write_frames(frames, folder / "refused.bin"))
    daemon = setup.run(relay__cursor="oldest")
    setup.wait_drained(repo.sequence.next - 1)
    wait_until(lambda: setup.database.scalar(LETTERS) == 2, "both letters are in the table", 30)
    wait_until(lambda: mirrored(setup) == 2, "both letters are in the mirror", 30)
    unmirrored = LETTERS + " WHERE mirror_id IS NULL"
    wait_until(lambda: setup.database.scalar(unmirrored) == 0, "the rows know their entries", 30)
    assert daemon.terminate() == 0
    return setup


def test_list_counts_by_reason_and_filters(migrated):
    setup = migrated
    assert "no dead letters" in dead(setup, "list").stdout
    add_letters(setup, 3)
    add_letters(setup, 2, reason="missing block", since="now() - interval '2 hours'")
    page = dead(setup, "list").stdout
    assert "bad path" in page and "missing block" in page and DID in page
    found = dead_json(setup, "list")
    assert found["letters"] == 5
    assert [(group["reason"], group["letters"]) for group in found["groups"]] == [("bad path", 3), ("missing block", 2)]
    for words, count in [
        (["--reason", "bad path"], 3),
        (["--collection", "app.bsky.feed.*"], 5),
        (["--collection", "app.bsky.fee.*"], 0),
        (["--since", "1h"], 3),
        (["--since", "90m", "--reason", "missing block"], 0),
        (["--since", "2020-01-01T00:00:00Z"], 5),
    ]:
        assert dead_json(setup, "list", *words)["letters"] == count, words


def test_drop_removes_row_and_entry_and_dry_run_only_counts(migrated):
    setup = migrated
    add_letters(setup, 200)
    first = setup.database.scalar("SELECT min(id) FROM standpipe_dead_letters")
    assert dead_json(setup, "drop", first, "--dry-run") == {"would_drop": 1}
    assert (setup.database.scalar(LETTERS), mirrored(setup)) == (200, 200)
    assert dead_json(setup, "drop", first) == {"dropped": 1}
    assert (setup.database.scalar(LETTERS), mirrored(setup)) == (199, 199)
    dead(setup, "drop", first, code=FAILED)
    assert dead_json(setup, "drop", "--reason", "bad path") == {"dropped": 199}
    assert (setup.database.scalar(LETTERS), mirrored(setup)) == (0, 0)


def test_a_drop_without_redis_leaves_the_rows(migrated):
    setup = migrated
    add_letters(setup, 3)
    setup.redis.stop()
    done = dead(setup, "drop", "--reason", "bad path", code=UNREACHABLE)
    assert "redis" in done.stderr
    assert setup.database.scalar(LETTERS) == 3


@pytest.mark.parametrize(
    "words",
    [["frobnicate"], ["drop"], ["show"], ["show", "1", "2"], ["list", "1"], ["retry", "x"], ["list", "--since", "soon"]],
    ids=" ".join,
)
def test_wrong_words_exit_2_and_say_what_to_give(setup, words):
    done = dead(setup, *words, code=USAGE)
    assert done.stderr.startswith("standpipe: dead: ") and done.stderr.count(": ") >= 3


def test_without_postgres_or_schema_the_exit_code_says_so(setup):
    dead(setup, "list", code=UNREACHABLE, overrides={"postgres.url": "postgresql://127.0.0.1:1/none"})
    assert "standpipe migrate" in dead(setup, "list", code=FAILED).stderr


def test_show_tells_everything_and_no_escape_sequence(migrated):
    setup = migrated
    add_letters(setup, 1, reason="\x1b[31mred")
    letter = setup.database.scalar("SELECT id FROM standpipe_dead_letters")
    page = dead(setup, "show", letter).stdout
    assert "?[31mred" in page and "\x1b" not in page and "app.bsky.feed.post" in page
    assert "\x1b" not in dead(setup, "list").stdout
    assert dead_json(setup, "show", letter)["reason"] == "\x1b[31mred"
    dead(setup, "show", letter + 1, code=FAILED)


def test_a_retry_applies_what_can_be_and_leaves_what_cannot_as_it_was(refused):
    setup = refused
    before = setup.database.dump()["dead letters"]
    done = dead(setup, "retry", code=FAILED)
    assert done.stderr.count("it stays") == 2
    assert setup.database.dump()["dead letters"] == before
    assert mirrored(setup) == 2
    setup.database.query(MENDED)
    assert dead_json(setup, "retry", "--dry-run") == {"would_retry": 2}
    assert dead_json(setup, "retry", "--collection", "app.bsky.feed.*") == {"applied": 1, "failed": 0}
    assert {key[2] for key in setup.database.state().live()} == {"short", "long"}
    assert (setup.database.scalar(LETTERS), mirrored(setup)) == (1, 1)
    assert setup.database.scalar("SELECT type FROM standpipe_dead_letters") == "frame"


def test_a_frame_that_is_good_by_now_is_applied(refused):
    """As if a later version could read what this one could not: the kept bytes are a good commit."""
    setup = refused
    good = Repo(Sequence(50), OTHER).commit(Create("com.example.x/late", {"n": 1}))
    setup.database.query("UPDATE standpipe_dead_letters SET frame = %s WHERE type = 'frame'", good)
    letter = setup.database.scalar("SELECT id FROM standpipe_dead_letters WHERE type = 'frame'")
    assert dead_json(setup, "retry", letter) == {"applied": 1, "failed": 0}
    assert (OTHER, "com.example.x", "late") in setup.database.state().live()
    assert mirrored(setup) == 1
    ignored = frame("#tomorrow", {"seq": 99})
    assert ignored and setup.database.scalar("SELECT rev FROM repos WHERE did = %s", OTHER)


def test_a_retry_without_postgres_says_so(migrated):
    setup = migrated
    add_letters(setup, 1)
    setup.database.query("ALTER TABLE standpipe_records RENAME TO gone")
    done = dead(setup, "retry", code=FAILED)
    assert "postgres" in done.stderr
    assert setup.database.scalar(LETTERS) == 1


def test_a_repo_cannot_fill_the_letters(setup, start_relay, folder):
    repo = Repo(Sequence(), DID)
    for_each = [Create(f"com.example.x/{n}", {"n": n}, sent=False) for n in range(50)]
    frames = [repo.commit(*for_each) for _ in range(4)]
    path = write_frames(frames, folder / "many.bin")
    setup.relay = start_relay(path)
    daemon = setup.run(relay__cursor="oldest")
    setup.wait_drained(4)
    count = "SELECT count(*), max(letters) FILTER (WHERE type = 'summary') FROM standpipe_dead_letters"
    assert setup.database.query(count) == [(101, 100)]
    assert daemon.terminate() == 0
    before = setup.database.query("SELECT id, letters FROM standpipe_dead_letters ORDER BY 1")
    setup.redis.client.delete("firehose:events", "firehose:events:meta")
    daemon = setup.run(relay__cursor="oldest")
    setup.wait_drained(4)
    assert daemon.terminate() == 0
    assert setup.database.query("SELECT id, letters FROM standpipe_dead_letters ORDER BY 1") == before
