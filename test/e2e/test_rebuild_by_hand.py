"""`standpipe rebuild` and `migrate` after somebody has changed tables by hand, or was killed: of a few records, put there by SQL."""
import subprocess

import pytest

from harness.process import clean_environment
from harness.waiting import wait_until

DONE = 0
ANNA = f"did:plc:{'a' * 24}"
THING, OTHER = "com.example.thing", "com.example.other"
COUNTED = f"[things]\ncollection = {THING}\nt = text t\ncount = tc(key).n by t\n"
RECORD = ("INSERT INTO standpipe_records (did, collection, rkey, cid, rev, seq, indexed_at, record)"
          " VALUES (%s, %s, %s, 'x', 'r', 1, now(), jsonb_build_object('t', %s::text))")


@pytest.fixture
def things(setup, describe):
    """things(t, ...): the described table and its counts are filled from records 0, 1, ... of these texts."""

    def make(*texts, description=COUNTED):
        describe(description)
        run(setup, "migrate")
        for rkey, text in enumerate(texts):
            setup.database.query(RECORD, ANNA, THING, str(rkey), text)
        run(setup, "rebuild", "all")

    return make


def run(setup, *words):
    done = setup.command(*words)
    assert done.returncode == DONE, done.stderr
    return done.stdout


def counts(setup):
    return dict(setup.database.query("SELECT key, n FROM tc WHERE n <> 0"))


def test_the_count_of_the_empty_key_is_made_right(setup, things):
    things("", "", "x")
    assert counts(setup) == {"": 2, "x": 1}
    setup.database.query("UPDATE tc SET n = 77")
    run(setup, "rebuild", "tc")
    assert counts(setup) == {"": 2, "x": 1}
    setup.database.query("DELETE FROM tc")
    run(setup, "rebuild", "tc")
    assert counts(setup) == {"": 2, "x": 1}


def test_counts_are_locked_from_the_lowest_key_up_and_made_on_the_way(setup, things):
    """Somebody who goes up the keys as the daemon does, and holds the lowest, is waited for with nothing in hand."""
    things("a", "m", "z")
    setup.database.query("UPDATE tc SET n = 7; DELETE FROM tc WHERE key <> 'a'")
    with setup.database.transaction() as daemon:
        daemon.execute("SELECT FROM tc WHERE key = 'a' FOR NO KEY UPDATE")
        command = [setup.program, "rebuild", "tc", *setup.arguments()]
        rebuild = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=clean_environment())
        waits = "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))"
        wait_until(lambda: setup.database.scalar(waits, daemon.info.backend_pid), "the rebuild waits for the lowest key")
        daemon.execute("INSERT INTO tc AS t (key, n) VALUES ('m', 0), ('z', 0) ON CONFLICT (key) DO UPDATE SET n = t.n")
    _, said = rebuild.communicate(timeout=60)
    assert rebuild.returncode == DONE, said
    assert counts(setup) == {"a": 1, "m": 1, "z": 1}


def test_a_table_made_again_is_filled_from_the_beginning_whatever_a_stopped_rebuild_had_done(setup, things):
    things("x", "y", "z")
    setup.database.query("UPDATE standpipe_tables SET filled = false, rebuild = jsonb_build_object('first', %s::text, 'second', '1')"
                         " WHERE name = 'things'", ANNA)
    setup.database.query("UPDATE standpipe_tables SET filled = false, rebuild = '{\"first\": \"y\", \"second\": \"\"}' WHERE name = 'tc'")
    setup.database.query("DROP VIEW things; DROP TABLE standpipe_things, tc")
    run(setup, "migrate")
    run(setup, "rebuild", "all")
    assert setup.database.query("SELECT rkey, t FROM things ORDER BY 1") == [("0", "x"), ("1", "y"), ("2", "z")]
    assert counts(setup) == {"x": 1, "y": 1, "z": 1}
    assert setup.database.query("SELECT filled, rebuild FROM standpipe_tables") == [(True, None)] * 2


def filled(setup):
    return dict(setup.database.query("SELECT name, filled FROM standpipe_tables"))


@pytest.mark.parametrize("lost", [
    "DROP VIEW things; DROP TABLE standpipe_things",
    "DROP VIEW things; ALTER TABLE standpipe_things DROP COLUMN t",
    "DELETE FROM standpipe_things WHERE rkey > '0'",
    "DROP TABLE tc",
    "ALTER TABLE tc DROP COLUMN n",
])
def test_a_rebuilt_table_doubles_no_count_that_kept_its_figures(setup, things, lost):
    things("x", "x", "y")
    setup.database.query(lost)
    run(setup, "migrate")
    assert filled(setup) == {"things": "things" not in lost or "DELETE" in lost, "tc": "tc" not in lost}
    said = run(setup, "rebuild", "things")
    assert counts(setup) == {"x": 2, "y": 1}
    assert "things: 3 rows made" in said and "tc: 2 keys counted" in said
    assert filled(setup) == {"things": True, "tc": True}


def test_counts_of_a_table_whose_rebuild_was_stopped_are_not_filled(setup, things):
    things("x", "x", "y")
    setup.database.query("UPDATE standpipe_tables SET rebuild = '{\"first\": \"x\", \"second\": \"\"}' WHERE name = 'tc'")
    setup.database.query("UPDATE standpipe_things SET t = 'y'")
    setup.database.query("UPDATE tc SET n = 5")
    with setup.database.transaction() as other:
        other.execute("LOCK TABLE standpipe_things IN SHARE MODE")
        command = [setup.program, "rebuild", "things", *setup.arguments()]
        rebuild = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=clean_environment())
        waits = "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))"
        wait_until(lambda: setup.database.scalar(waits, other.info.backend_pid), "the rebuild waits for the table")
        rebuild.kill()
        rebuild.wait(60)
    assert filled(setup)["tc"] is False
    gone = ("SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
            " WHERE locktype = 'advisory' AND datname = current_database()")
    wait_until(lambda: setup.database.scalar(gone) == 0, "PostgreSQL knows that it is gone")
    run(setup, "rebuild", "all")
    assert counts(setup) == {"x": 2, "y": 1}
    assert filled(setup) == {"things": True, "tc": True}


def test_rows_of_the_collection_that_a_section_had_before_go_with_their_counts(setup, things, describe):
    things("x", "x", "y")
    setup.database.query(RECORD, ANNA, OTHER, "0", "z")
    describe(COUNTED.replace(THING, OTHER))
    run(setup, "migrate")
    said = run(setup, "rebuild", "all")
    assert setup.database.query("SELECT uri, t FROM standpipe_things") == [(f"at://{ANNA}/{OTHER}/0", "z")]
    assert counts(setup) == {"z": 1}
    assert "3 without a record removed" in said


@pytest.mark.parametrize("change", [
    "uri = 'at://moved/by/hand'",
    "uri = ''",
    "uri = 'at://did:plc:bert/com.example.thing/1'",
    "uri = 'at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/com.example.thing/9'",
    "did = 'did:plc:bert'",
    "rkey = '9'",
    "cid = 'another'",
])
def test_a_row_that_was_changed_in_what_it_is_by_hand_is_made_again(setup, things, change):
    things("x", "x", "y")
    whole = "SELECT * FROM standpipe_things ORDER BY uri"
    rows = setup.database.query(whole)
    setup.database.query(f"UPDATE standpipe_things SET {change} WHERE rkey = '1'")
    said = run(setup, "rebuild", "all")
    assert setup.database.query(whole) == rows and counts(setup) == {"x": 2, "y": 1}
    assert "1 without a record removed" in said
