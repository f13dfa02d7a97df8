"""The stream as other programs read it: word for word what the contract says."""
import pytest

import oracle
import streamed
from handmade import Create, Delete, Repo, Sequence, encode, frame, write_frames
from harness.waiting import wait_until

FIELDS = [b"type", b"data", b"seq", b"time", b"rev"]
DEAD_FIELDS = [b"type", b"data", b"seq", b"origId", b"deliveries", b"reason", b"error", b"frame", b"time"]
DID = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"


def raw_entries(setup, key):
    """[(id, [field, value, ...])] with fields in the order in which they stand."""
    reply = setup.redis.client.execute_command("EVAL", "return redis.call('XRANGE', KEYS[1], '-', '+')", 1, key)
    return [(entry_id, list(fields)) for entry_id, fields in reply]


def run_file(setup, start_relay, path, sequence, **settings):
    setup.relay = start_relay(path)
    daemon = setup.run(relay__cursor="oldest", **settings)
    setup.wait_drained(sequence)
    return daemon


def check_entry(entry, event, epoch):
    entry_id, fields = entry
    assert entry_id == f"{epoch}-{event.sequence}".encode()
    assert fields[0::2] == FIELDS
    kind, data, sequence, time, rev = (value.decode() for value in fields[1::2])
    assert (kind, sequence) == (event.type, str(event.sequence))
    assert (time, rev) == (event.time, event.rev)
    return streamed.check_data(data, event)


def test_entries_are_word_for_word_as_promised(setup, start_relay, capture):
    daemon = run_file(setup, start_relay, capture.frames, capture.last_sequence)
    epoch = int(setup.redis.client.hget("firehose:events:meta", "epoch"))
    entries = raw_entries(setup, "firehose:events")
    assert len(entries) == len(capture.events)
    problems = []
    for entry, event in zip(entries, capture.events):
        problems += check_entry(entry, event, epoch)
    assert problems == []
    assert daemon.terminate() == 0


def test_the_meta_hash_names_host_epoch_and_mark(setup, start_relay, generated):
    daemon = run_file(setup, start_relay, generated.frames, generated.last_sequence)
    meta = setup.redis.client.hgetall("firehose:events:meta")
    assert meta[b"host"].decode() == f"127.0.0.1:{setup.relay.port}"
    assert int(meta[b"queued"]) == generated.last_sequence
    assert daemon.terminate() == 0
    host, epoch, queued, committed = setup.database.query(
        "SELECT host, epoch, queued, committed FROM standpipe_cursor"
    )[0]
    assert (host, int(epoch)) == (meta[b"host"].decode(), int(meta[b"epoch"]))
    assert (queued, committed) == (generated.last_sequence, generated.last_sequence)


def test_status_and_counters_for_other_programs_are_kept_up(setup, start_relay, generated):
    daemon = run_file(setup, start_relay, generated.frames, generated.last_sequence)
    client = setup.redis.client
    wait_until(lambda: client.get("firehose:status"), "firehose:status is written", 15)
    assert 0 < client.ttl("firehose:status") <= 10
    metrics = {name.decode(): int(value) for name, value in client.hgetall("cluster:metrics").items()}
    kinds = [event.type for event in generated.events]
    assert metrics["totalEvents"] == len(kinds)
    for kind in ("commit", "identity", "account"):
        assert metrics.get(f"#{kind}", 0) == kinds.count(kind)
    assert daemon.terminate() == 0


def test_what_is_none_of_ours_is_no_event_of_any_type(setup, start_relay, folder):
    repo = Repo(Sequence(), DID)
    frames = [repo.identity("somebody.test"), repo.commit(Create("com.example.x/a", {"n": 1})), repo.sync()]
    daemon = run_file(setup, start_relay, write_frames(frames, folder / "three.bin"), repo.sequence.next - 1)
    for _ in range(5):
        setup.stream().xadd("firehose:events", {"type": "zzz", "data": "{}", "seq": "1"})
    wait_until(
        lambda: daemon.api()["ledger"]["deadEntries"] == 5,
        lambda: f"five are dead ({daemon.api()['ledger']})",
        30,
        [daemon.process],
    )
    api = daemon.api()
    assert api["eventCounts"] == {"#commit": 1, "#identity": 1, "#account": 0, "#sync": 1}
    assert api["eventsProcessed"] == 3
    assert int(setup.redis.client.hget("cluster:metrics", "errors")) == 5
    assert daemon.terminate() == 0


@pytest.fixture
def broken_capture(folder):
    """Good frames around garbage, a missing block, a bad path, a wrong hash, an unknown type."""
    repo = Repo(Sequence(), DID)
    good = Create("com.example.x/good", {"n": 1})
    wrong_hash = Create("com.example.x/hash", {"n": 2}, cid=b"\x01\x71\x12\x20" + bytes(32))
    frames = [
        repo.identity("somebody.test"),
        repo.commit(good),
        b"\xff\xfe garbage",
        repo.commit(Create("com.example.x/gone", {"n": 3}, sent=False), Create("com.example.x/b", {"n": 4})),
        repo.commit(Create("no-slash", {"n": 5}), Create("com.example.x/c", {"n": 6})),
        repo.commit(wrong_hash),
        encode({"op": 1, "t": "#commit"}) + b"\xa0\x00",
        frame("#tomorrow", {"seq": repo.sequence.take()}),
        repo.commit(Create("com.example.x/last", {"n": 7}), Delete("com.example.x/good")),
    ]
    return write_frames(frames, folder / "broken.bin"), repo.sequence.next - 1


def test_garbage_goes_to_the_dead_letters_once_and_the_rest_goes_on(setup, start_relay, broken_capture):
    path, last = broken_capture
    daemon = run_file(setup, start_relay, path, last)
    keys = {key[2] for key in setup.database.state().live()}
    assert keys == {"b", "c", "last"}
    letters = raw_entries(setup, "firehose:dead-letters")
    assert all(fields[0::2] == DEAD_FIELDS for _, fields in letters)
    frames = [fields[15] for _, fields in letters if fields[15]]
    assert len(frames) == len(set(frames)) == 3
    assert daemon.terminate() == 0


def test_dead_letters_of_frames_come_into_the_table_and_replays_add_none(
    setup, start_relay, broken_capture
):
    path, last = broken_capture
    daemon = run_file(setup, start_relay, path, last)
    count = "SELECT count(*) FROM standpipe_dead_letters"
    wait_until(lambda: setup.database.scalar(count) == 5, "five dead letters in the table", 30)
    assert daemon.terminate() == 0
    setup.redis.client.flushall()
    daemon = setup.run(relay__cursor="oldest")
    setup.wait_drained(last)
    assert daemon.terminate() == 0
    assert setup.database.scalar(count) == 5


def test_a_missing_block_marks_the_repo_until_it_is_whole_again(setup, start_relay, folder):
    repo = Repo(Sequence(), DID)
    frames = [repo.commit(Create("com.example.x/a", {"n": 1}, sent=False))]
    path = write_frames(frames, folder / "hole.bin")
    daemon = run_file(setup, start_relay, path, 1)
    assert setup.database.query("SELECT did, desynchronized FROM repos") == [(DID, True)]
    assert setup.database.state().live() == {}
    assert daemon.terminate() == 0


ODD = {
    "nul": {"text": "a\0b"},
    "big": {"n": 2**60, "m": -(2**60)},
    "bytes": {"b": b"\0\1", "c": {"$bytes": "***"}},
}


def test_odd_records_are_kept_exactly(setup, start_relay, folder):
    repo = Repo(Sequence(), DID)
    frames = [repo.commit(Create(f"com.example.odd/{name}", record)) for name, record in ODD.items()]
    deep = b"\xa1\x61a" + b"\x81" * 5000 + b"\x01"
    frames.append(repo.commit(Create("com.example.odd/deep", block=deep)))
    path = write_frames(frames, folder / "odd.bin")
    daemon = run_file(setup, start_relay, path, repo.sequence.next - 1)
    assert oracle.differences(oracle.fold(path), setup.database.state()) == []
    assert daemon.terminate() == 0
