"""A description that changes while rows are there already: what fits the new one stays right, and what does not is said."""
import base64
import random

import pytest

from handmade import Create, Delete, Repo, Sequence, write_frames
from test_typed_wild import time_of

DONE, FAILED = 0, 1
ANNA, BERT = (f"did:plc:{letter * 24}" for letter in "ab")
THING = "com.example.thing"
LONG = base64.b64encode(random.Random(1).randbytes(6000)).decode()  # no index can make it short
HEAD = f"[things]\ncollection = {THING}\nt = text t\n"
COUNTED = HEAD + "count = thing_counts(key).things by t\n"


@pytest.fixture
def send(setup, start_relay, folder):
    """send(frames, last): a daemon applies them, and ends."""

    def run(frames, last):
        port = setup.relay.port if setup.relay else None
        if setup.relay:
            setup.relay.stop()
        setup.relay = start_relay(write_frames(frames, folder / f"{last}.bin"), port=port)
        daemon = setup.run(relay__cursor="oldest")
        setup.wait_drained(last)
        assert daemon.terminate() == DONE

    return run


def test_a_text_too_long_to_be_counted_goes_though_its_count_came_later(setup, describe, send):
    sequence = Sequence()
    anna, bert = Repo(sequence, ANNA), Repo(sequence, BERT)
    describe(HEAD)
    long = [Create(f"{THING}/{rkey}", {"t": LONG}) for rkey in ("deleted", "changed", "cleared")]
    send([anna.commit(*long[:2], Create(f"{THING}/short", {"t": "x"})), bert.commit(long[2], Create(f"{THING}/short", {"t": "x"}))], 2)
    describe(COUNTED)
    changes = [Delete(f"{THING}/deleted"), Create(f"{THING}/changed", {"t": "x"}, action="update"), Delete(f"{THING}/short")]
    bert.time = time_of(sequence.next)
    send([anna.commit(*changes), bert.account(False, "deleted"), anna.commit(Create(f"{THING}/new", {"t": "x"}))], 5)
    assert setup.database.query("SELECT reason, sqlstate, detail FROM standpipe_dead_letters") == []
    assert setup.database.query("SELECT rkey, t FROM standpipe_things ORDER BY rkey") == [("changed", "x"), ("new", "x")]
    # Not rebuilt yet: two of x came, and two went that were never counted.
    assert setup.database.query("SELECT key, things FROM thing_counts WHERE things <> 0") == []


def test_a_rebuild_makes_the_rows_fit_into_an_index_that_came_later(setup, describe, send):
    describe(HEAD)
    send([Repo(Sequence(), ANNA).commit(Create(f"{THING}/long", {"t": LONG, "u": "y"}), Create(f"{THING}/short", {"t": "x"}))], 1)
    describe(HEAD + "u = text u\nindex = t\n")
    refused = setup.command("migrate")
    assert refused.returncode == FAILED
    assert "typed table things: index standpipe_things_t cannot be made" in refused.stderr
    assert "postgres.url" not in refused.stderr and "run `standpipe rebuild things`" in refused.stderr
    assert setup.command("rebuild", "things").returncode == DONE
    made = setup.command("migrate")
    assert made.returncode == DONE, made.stderr
    assert "index standpipe_things_t created" in made.stdout
    assert setup.database.query("SELECT rkey, t, u FROM things ORDER BY rkey") == [("long", None, "y"), ("short", "x", None)]


def test_a_text_too_long_to_be_counted_does_not_end_a_rebuild(setup, describe, send):
    describe(HEAD)
    send([Repo(Sequence(), ANNA).commit(Create(f"{THING}/long", {"t": LONG}), Create(f"{THING}/short", {"t": "x"}))], 1)
    describe(COUNTED)
    assert setup.command("migrate").returncode == DONE
    for what in ("thing_counts", "all"):
        done = setup.command("rebuild", what)
        assert done.returncode == DONE, done.stderr
        assert setup.database.query("SELECT key, things FROM thing_counts WHERE things <> 0") == [("x", 1)]
