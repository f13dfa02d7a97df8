"""Retained entries once more: what PostgreSQL lost is there again, what is there does not change."""
import json

import pytest

from handmade import Create, Repo, Sequence, write_frames
from harness.journal import start_journal, writes
from harness.waiting import wait_until

DONE, FAILED, USAGE, UNREACHABLE = 0, 1, 2, 3
DID = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
STREAM, GROUP = "firehose:events", "firehose-processors"
LEDGER, META = f"{STREAM}:ledger", f"{STREAM}:meta"
EVENTS = 40


def replay(setup, *words, code=DONE, **options):
    done = setup.command("replay", *words, **options)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done


def replay_json(setup, *words, code=DONE, **options):
    return json.loads(replay(setup, *words, "--json", code=code, **options).stdout)


def untouched(setup):
    """All of Redis that a replay must leave as it is."""
    stream = setup.stream()
    groups = stream.xinfo_groups(STREAM)
    keys = {key for key in stream.scan_iter() if stream.ttl(key) < 0}  # of those that pass by themselves, none matters
    return stream.hgetall(LEDGER), stream.hgetall(META), stream.xlen(STREAM), groups, keys


def lose(setup, where="true"):
    setup.database.query(f"DELETE FROM standpipe_records WHERE {where}")


def rkeys(setup):
    return {row[0] for row in setup.database.query("SELECT rkey FROM records")}


def names(numbers):
    return {f"r{n}" for n in numbers}


def take(setup, sequence):
    daemon = setup.run(relay__cursor="oldest")
    setup.wait_drained(sequence)
    assert daemon.terminate() == 0


@pytest.fixture
def taken(setup, start_relay, folder):
    """EVENTS posts, r1 with sequence 1 and so on, all taken and the daemon gone."""
    repo = Repo(Sequence(), DID)
    frames = []
    for n in range(1, EVENTS + 1):
        repo.time = f"2024-01-01T00:00:{n:02}.000Z"
        frames.append(repo.commit(Create(f"com.example.x/r{n}", {"n": n})))
    setup.relay = start_relay(write_frames(frames, folder / "posts.bin"))
    take(setup, EVENTS)
    return setup


def entry_id(setup, sequence):
    epoch = setup.stream().hget(META, "epoch").decode()
    return f"{epoch}-{sequence}"


def entry_time(setup, sequence):
    (entry,) = setup.stream().xrange(STREAM, entry_id(setup, sequence), entry_id(setup, sequence))
    return entry[1][b"time"].decode()


def test_all_kinds_of_events_that_were_lost_are_there_again(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    take(setup, generated.last_sequence)
    redis, state = untouched(setup), setup.database.state()
    setup.database.query("TRUNCATE standpipe_records, repos")
    found = replay_json(setup, "--from", 0)
    assert found["replayed"] == generated.last_sequence and found["is_complete"] and found["dead"] == 0
    assert generated.differences(setup.database) == []
    assert setup.database.state() == state
    assert untouched(setup) == redis


def test_what_is_there_does_not_change(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    take(setup, generated.last_sequence)
    before = setup.database.dump()
    start_journal(setup.database)
    found = replay_json(setup, "--from", 0)
    assert found["written"] == 0 and found["replayed"] == generated.last_sequence
    assert setup.database.dump() == before
    assert writes(setup.database) == 0


@pytest.mark.parametrize("bound", [lambda _, n: n, entry_id, entry_time], ids=["sequence", "id", "time"])
def test_both_ends_belong_to_the_range(taken, bound):
    lose(taken)
    found = replay_json(taken, "--from", bound(taken, 11), "--to", bound(taken, 30))
    assert found["first"] == entry_id(taken, 11) and found["last"] == entry_id(taken, 30)
    assert found["replayed"] == found["written"] == 20 and found["is_complete"]
    assert rkeys(taken) == names(range(11, 31))


def test_a_dry_run_says_how_many_and_changes_nothing(taken):
    lose(taken)
    found = replay_json(taken, "--from", 31, "--dry-run")
    assert found == {
        "would_replay": 10,
        "first": entry_id(taken, 31),
        "last": entry_id(taken, EVENTS),
        "is_complete": True,
    }
    said = replay(taken, "--from", 31, "--dry-run").stdout
    assert f"10 entries would be replayed, from {entry_id(taken, 31)} to {entry_id(taken, EVENTS)}" in said
    assert rkeys(taken) == set()


@pytest.mark.parametrize("bound", [lambda _, n: n, entry_id, entry_time], ids=["sequence", "id", "time"])
def test_a_stream_that_does_not_reach_back_says_so_and_applies_what_it_has(taken, bound):
    start = bound(taken, 11)
    lose(taken)
    taken.stream().xtrim(STREAM, minid=entry_id(taken, 21), approximate=False)
    refusal = replay(taken, "--from", start, code=FAILED).stderr
    assert "does not reach back" in refusal and "cursor set" in refusal
    assert rkeys(taken) == names(range(21, EVENTS + 1))
    assert not replay_json(taken, "--from", start, "--dry-run", code=FAILED)["is_complete"]
    replay(taken, "--from", 0)  # all that there is was asked for


def test_rows_come_back_from_below_the_horizon_where_what_deleted_them_since_comes_too(taken):
    """A tombstone that is gone guards nothing: with an end the delete may lie behind it."""
    taken.database.query("UPDATE standpipe_horizon SET epoch = (SELECT max(epoch) FROM standpipe_cursor), seq = 20")
    lose(taken)
    replay(taken, "--from", "0", "--to", "30")
    assert rkeys(taken) == names(range(21, 31))
    replay(taken, "--from", "0")
    assert rkeys(taken) == names(range(1, EVENTS + 1))


def test_an_empty_stream_is_said(setup):
    assert setup.command("migrate").returncode == DONE
    assert "does not reach back" in replay(setup, "--from", 5, code=FAILED).stderr
    assert replay_json(setup, "--from", 0)["replayed"] == 0


def test_a_replay_works_beside_a_running_daemon(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames, "--rate", 500)
    daemon = setup.run(relay__cursor="oldest", workers__batch_size=20)
    wait_until(lambda: setup.queued() >= generated.last_sequence // 4, "a quarter", 60, [daemon.process])
    while setup.queued() < generated.last_sequence:
        assert replay_json(setup, "--from", 0)["is_complete"]
        daemon.process.check_alive()
    setup.wait_drained(generated.last_sequence)
    assert daemon.terminate() == 0
    assert generated.differences(setup.database) == []
    ledger = {name: int(value) for name, value in setup.stream().hgetall(LEDGER).items()}
    assert ledger[b"appended"] == ledger[b"committed"] == generated.last_sequence


def test_a_dead_letter_that_was_lost_is_kept_again_once(taken):
    taken.stream().xadd(STREAM, {"type": "nonsense", "data": "{}"}, id=entry_id(taken, EVENTS + 1))
    for _ in range(2):
        assert replay_json(taken, "--from", EVENTS)["replayed"] == 2
    assert taken.database.scalar("SELECT count(*) FROM standpipe_dead_letters") == 1


@pytest.mark.parametrize(
    "words",
    [[], ["--from", "x"], ["--from", "9", "--to", "8"], ["--from", "9", "--to", "soon"], ["--from", str(2**63)]],
)
def test_wrong_usage_is_said(setup, words):
    assert replay(setup, *words, code=USAGE).stderr.startswith("standpipe: replay: ")


@pytest.mark.parametrize("what", ["redis.url=unix:///nonexistent/r.sock", "postgres.url=host=/nonexistent dbname=x"])
def test_what_is_away_is_unreachable(taken, what):
    key, _, value = what.partition("=")
    assert key.split(".")[0] in replay(taken, "--from", 0, code=UNREACHABLE, overrides={key: value}).stderr
