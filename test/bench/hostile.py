"""What a hostile relay costs: memory, CPU and time until it is refused, and whether the next good event goes through.

Each case has a daemon of its own, and a relay that sends bytes of its choice on the first connection and one good event on the next
(or at the end of the first, where the case leaves the connection usable).
"""
import time
from pathlib import Path

from handmade import Create, Repo, Sequence, car, cid_of, encode, frame, link
from harness.raw_relay import PING, RawRelay, message
from harness.waiting import wait_until
from usage import Usage

MEGABYTE = 1_000_000
DID = "did:plc:" + "a" * 24
SLOW_SECONDS = 10
PINGS, BLOCKS = 100_000, 1_000_000


def commit_with(repo, blocks, ops=()):
    """A commit whose CAR is `blocks`, which need not be one."""
    number = repo.sequence.take()
    head = encode({"did": DID, "version": 3})
    body = {"seq": number, "repo": DID, "rev": repo.rev or "3l3qo2vutsw2b", "since": None, "time": repo.time,
            "commit": link(cid_of(head)), "blocks": blocks, "ops": list(ops), "blobs": [], "tooBig": False, "rebase": False}
    return frame("#commit", body)


def car_header():
    header = encode({"roots": [link(cid_of(b"x"))], "version": 1})
    return bytes([len(header)]) + header


def one_byte_a_second(send, _repo):
    whole = message(b"x" * 100)
    for at in range(SLOW_SECONDS):
        send(whole[at : at + 1])
        time.sleep(1)  # that is what it does
    raise EOFError


def two_gigabytes(send, _repo):
    send(message(b"x" * 1000, size=2 << 30))


def pings(send, _repo):
    for _ in range(PINGS // 1000):
        send(message(b"p" * 125, PING) * 1000)


def nested_record(send, repo):
    block = b"\xa1\x61a" + b"\x81" * 4394 + b"\x01"
    send(message(repo.commit(Create("com.example.x/deep", block=block))))


def nested_frame(send, _repo):
    send(message(encode({"op": 1, "t": "#commit"}) + b"\xa1\x63seq" + b"\x81" * 4394 + b"\x01"))


def empty_blocks(send, repo):
    send(message(commit_with(repo, car_header() + b"\0" * BLOCKS)))


def blocks_of_nothing(send, repo):
    """As many blocks as a message holds, each its CID and not a byte more."""
    cid = cid_of(b"")
    send(message(commit_with(repo, car_header() + (bytes([len(cid)]) + cid) * (5_000_000 // (len(cid) + 1)))))


def five_bytes(send, _repo):
    send(message(b"\x9a\xff\xff\xff\xff"))


def many_ops(send, repo):
    """Half a million ops in one commit."""
    ops = b"\x9a" + (500_000).to_bytes(4, "big") + b"\xa0" * 500_000
    body = commit_with(repo, car(cid_of(b"x"), []))
    send(message(body.replace(b"\x63ops\x80", b"\x63ops" + ops)))


CASES = {
    "a byte a second for 10 s, then a cut": one_byte_a_second,
    "a message that says 2 GiB": two_gigabytes,
    "100,000 pings": pings,
    "a record of 4,394 nested arrays": nested_record,
    "a frame of 4,394 nested arrays": nested_frame,
    "a CAR of one million empty blocks": empty_blocks,
    "a CAR of 135,135 blocks of nothing": blocks_of_nothing,
    "a CBOR bomb of 5 bytes": five_bytes,
    "a commit of 500,000 ops": many_ops,
}


def memory(daemon):
    """(now, most) in bytes."""
    lines = Path(f"/proc/{daemon.pid}/status").read_text().splitlines()
    found = dict(line.split(":", 1) for line in lines if line.startswith(("VmRSS", "VmHWM")))
    return tuple(int(found[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))


def outcome(daemon, known):
    """What it said of it, in its own words; what it had said before is `known`."""
    lines = [line for line in daemon.process.text()[known:].splitlines() if "warning relay" in line]
    said = [line.split(" why=", 1)[-1].split(" text=", 1)[-1].strip('"') for line in lines]
    return said[0][:90] if said else "nothing to say"


def run(stage, script):
    repo = Repo(Sequence(), DID)
    first = message(repo.commit(Create("com.example.x/before", {"n": 0})))
    go = []

    def play(send, number):
        if number == 1:
            send(first)
            while not go:
                time.sleep(0.01)
            script(send, repo)
        send(message(repo.commit(Create("com.example.x/after", {"n": number}))))

    setup = stage.fresh("--generate", 1)
    setup.relay.stop()
    setup.relay = relay = RawRelay(play).start()
    daemon = setup.run("bench", relay__cursor="live", relay__idle_timeout_ms=60_000)
    try:
        has = "SELECT count(*) FROM records WHERE rkey = %s"
        wait_until(lambda: setup.database.scalar(has, "before"), "the first event", 60, [daemon.process])
        before, usage, sent, start = memory(daemon)[1], Usage({"standpipe": daemon.pid}), relay.sent, time.monotonic()
        known = len(daemon.process.text())
        go.append(True)
        wait_until(lambda: setup.database.scalar(has, "after"), "the next good event", 120, [daemon.process])
        seconds, cpu = time.monotonic() - start, usage.seconds()["standpipe"]
        figures = {"sent_bytes": relay.sent - sent, "memory_most_mb": round((memory(daemon)[1] - before) / MEGABYTE, 1),
                   "cpu_ms": round(cpu * 1000), "until_the_next_good_event_ms": round(seconds * 1000),
                   "connections": relay.connections, "said": outcome(daemon, known)}
        assert daemon.terminate() == 0
    finally:
        relay.stop()
        setup.relay = None
        stage.relay = None
    return figures


def hostile(stage, _arguments):
    for name, script in CASES.items():
        yield f"hostile: {name}", run(stage, script)


HOSTILE = {"hostile": hostile}
