"""Bad input, kind by kind: what an operator sees of it (log, counter, dead letter), and that the next good event goes through."""
import cbor2
import pytest

from handmade import Create, Repo, Sequence, encode, frame, write_frames
from harness.waiting import wait_until

DONE = 0
DID = "did:plc:" + "a" * 24
THING = "com.example.x"
DECODE, REFUSED = "standpipe_decode_errors_total", "frame refused, kept as a dead letter"
IGNORED, DEAD_OPS = "standpipe_ignored_events_total", 'standpipe_rows_total{table="records",outcome="dead"}'
LETTERS = "SELECT reason, rkey, (frame IS NOT NULL OR data IS NOT NULL) FROM standpipe_dead_letters ORDER BY id"


class Kind:
    """frames(repo) between two good commits; `metrics` that rise to a number, words of the log, and (reason, rkey) of the letters."""

    def __init__(self, frames, metrics=None, log=None, letters=(), rows=(), **settings):
        self.frames, self.metrics, self.log = frames, metrics or {}, log
        self.letters, self.rows, self.settings = list(letters), set(rows), settings


def refused(reason, count=1):
    return {f'{DECODE}{{reason="{reason}"}}': count}


def commit_body(repo, **changes):
    """The body of a good commit as CBOR with some fields changed."""
    data = repo.commit(Create(f"{THING}/changed", {"n": 0}))
    head = len(encode({"op": 1, "t": "#commit"}))
    return frame("#commit", {**cbor2.loads(data[head:]), **changes})


def nested(depth, inner=b"\x01"):
    return b"\xa1\x61a" + b"\x81" * depth + inner


def raw(text):
    return lambda repo: [text]


def numbered_garbage(count):
    return lambda repo: [b"\xff\xfe garbage %d" % n for n in range(count)]


def siblings(repo, bad):
    return [repo.commit(Create(f"{THING}/one", {"n": 1}), bad, Create(f"{THING}/two", {"n": 2}))]


def deep_field(repo):
    """An unknown field of the frame itself, 33 levels deep."""
    value = 1
    for _ in range(40):
        value = [value]
    return [commit_body(repo, surprise=value)]


WRONG_CID = b"\x01\x71\x12\x20" + bytes(32)
KINDS = {
    "bytes that are no frame": Kind(raw(b"\xff\xfe garbage"), refused("header"), REFUSED, [("header", None)]),
    "nothing at all": Kind(raw(b""), refused("empty"), REFUSED, [("empty", None)]),
    "wrong CBOR": Kind(raw(encode({"op": 1, "t": "#commit"}) + b"\xbf\xff"), refused("cbor"), REFUSED, [("cbor", None)]),
    "trailing CBOR": Kind(lambda repo: [repo.commit(Create(f"{THING}/x", {})) + b"\0"], refused("trailing"), REFUSED, [("trailing", None)]),
    "the same bytes three times": Kind(raw(b"\xff same"), refused("header", 3), REFUSED, [("header", None)]),
    "twenty that are none in a row": Kind(numbered_garbage(20), None, "20 frames in a row could not be decoded", [("header", None)] * 20),
    "an unknown type": Kind(lambda repo: [frame("#tomorrow", {"seq": repo.sequence.take()})], {IGNORED: 1}),
    "an unknown op": Kind(lambda repo: [encode({"op": 7, "t": "#commit"}) + encode({"seq": repo.sequence.take()})], {IGNORED: 1}),
    "an unknown field": Kind(lambda repo: [commit_body(repo, surprise={"a": [1]})], rows=["changed"]),
    "a frame that nests too deep": Kind(deep_field, refused("limit"), REFUSED, [("limit", None)]),
    "a map that says it is huge": Kind(raw(b"\xbb" + b"\xff" * 8), refused("header"), REFUSED, [("header", None)]),
    "a record that breaks the data model": Kind(lambda repo: siblings(repo, Create(f"{THING}/odd", block=b"\xa1\x61a\xfb\x7f\xf8" + bytes(6))),
                                                rows=["one", "odd", "two"]),
    "a record that nests 4,394 deep": Kind(lambda repo: siblings(repo, Create(f"{THING}/odd", block=nested(4394))), rows=["one", "odd", "two"]),
    "a bad path": Kind(lambda repo: siblings(repo, Create("no-slash", {"n": 3})), {DEAD_OPS: 1}, None, [("bad path", None)], ["one", "two"]),
    "a missing block": Kind(lambda repo: siblings(repo, Create(f"{THING}/gone", {"n": 3}, sent=False)), {DEAD_OPS: 1}, None,
                            [("missing block", "gone")], ["one", "two"]),
    "a block that is not what its CID says": Kind(lambda repo: siblings(repo, Create(f"{THING}/x", {"n": 3}, cid=WRONG_CID)),
                                                  refused("block_hash"), REFUSED, [("block_hash", None)]),
}


def letters(setup):
    return setup.database.query(LETTERS) if setup.database.has("standpipe_dead_letters") else []


def live_keys(setup):
    return {row[0] for row in setup.database.query("SELECT rkey FROM records")}


@pytest.mark.parametrize("name", KINDS)
def test_it_is_counted_kept_and_the_next_good_event_goes_through(setup, start_relay, folder, name):
    kind, repo = KINDS[name], Repo(Sequence(), DID)
    frames = [repo.commit(Create(f"{THING}/before", {"n": 0})), *kind.frames(repo)]
    if "three times" in name:
        frames += frames[-1:] * 2
    frames.append(repo.commit(Create(f"{THING}/after", {"n": 9})))
    setup.relay = start_relay(write_frames(frames, folder / "bad.bin"))
    daemon = setup.run(relay__cursor="oldest", **kind.settings)
    setup.wait_drained(repo.sequence.next - 1)
    wait_until(lambda: len(letters(setup)) >= len(kind.letters), lambda: f"the letters ({letters(setup)})", 30, [daemon.process])
    assert live_keys(setup) == {"before", "after"} | kind.rows
    assert [(reason, rkey) for reason, rkey, has_data in letters(setup) if has_data] == kind.letters
    wait_until(lambda: {metric: daemon.metrics().get(metric) for metric in kind.metrics} == kind.metrics,
               lambda: f"{kind.metrics} ({[m for m in daemon.metrics().items() if m[1]]})", 15, [daemon.process])
    assert kind.log is None or kind.log in daemon.process.text()
    assert daemon.terminate() == DONE


def test_a_stream_entry_of_somebody_else_is_a_dead_letter_and_never_tried_again(setup, start_relay, folder):
    repo = Repo(Sequence(), DID)
    frames = [repo.commit(Create(f"{THING}/before", {"n": 0}))]
    setup.relay = start_relay(write_frames(frames, folder / "first.bin"))
    daemon = setup.run(relay__cursor="oldest")
    setup.wait_drained(1)
    setup.stream().xadd("firehose:events", {"news": "none of ours"})
    wait_until(lambda: letters(setup), "the letter", 30, [daemon.process])
    wait_until(lambda: setup.progress()[3] == 0, "it is acknowledged", 30, [daemon.process])
    assert daemon.terminate() == DONE
    setup.relay.stop()
    frames.append(repo.commit(Create(f"{THING}/after", {"n": 1})))
    setup.relay = start_relay(write_frames(frames, folder / "second.bin"), port=setup.relay.port)
    daemon = setup.run()
    wait_until(lambda: live_keys(setup) == {"before", "after"}, "the next good event", 60, [daemon.process])
    assert len(letters(setup)) == 1
    assert daemon.terminate() == DONE


def test_a_message_over_the_limit_is_refused_and_said(setup, start_relay, folder):
    repo = Repo(Sequence(), DID)
    frames = [repo.commit(Create(f"{THING}/before", {"n": 0})), repo.commit(Create(f"{THING}/large", {"n": "x" * 200_000}))]
    setup.relay = start_relay(write_frames(frames, folder / "large.bin"))
    daemon = setup.run(relay__cursor="oldest", relay__max_frame_bytes=65536)
    daemon.process.wait_for_line("longer than the limit of 65536 bytes")
    setup.wait_drained(1)
    assert live_keys(setup) == {"before"}
    assert daemon.terminate() == DONE
    daemon = setup.run()
    setup.wait_drained(2)
    assert live_keys(setup) == {"before", "large"}
    assert daemon.terminate() == DONE
