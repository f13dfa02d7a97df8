"""Frames made by hand, for the cases that servers seldom send.

    Repo.commit(...) -> frame bytes;  write_frames([...], path) -> a file for the relay and the oracle

Signatures are zeros: nobody between the relay and PostgreSQL checks them.
"""
import hashlib
import struct

import cbor2

TID_ALPHABET = "234567abcdefghijklmnopqrstuvwxyz"
START_US = 1_700_000_000_000_000
TIME = "2024-01-01T00:00:00.000Z"


def tid(microseconds, clock=0):
    number, text = (microseconds << 10) | clock, ""
    for _ in range(13):
        number, digit = divmod(number, 32)
        text = TID_ALPHABET[digit] + text
    return text


def encode(value):
    return cbor2.dumps(value, canonical=True)


def cid_of(block):
    return b"\x01\x71\x12\x20" + hashlib.sha256(block).digest()


def link(cid):
    return cbor2.CBORTag(42, b"\0" + cid)


def varint(number):
    out = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        out.append(low | (0x80 if number else 0))
        if not number:
            return bytes(out)


def car(root, blocks):
    header = encode({"roots": [link(root)], "version": 1})
    out = varint(len(header)) + header
    for cid, block in blocks:
        out += varint(len(cid) + len(block)) + cid + block
    return out


def frame(kind, body):
    return encode({"op": 1, "t": kind}) + encode(body)


class Create:
    """An op with a record; `block` are its exact bytes, `sent` whether the CAR holds them."""

    def __init__(self, path, record=None, action="create", block=None, sent=True, cid=None):
        self.path, self.action, self.sent = path, action, sent
        self.block = encode(record) if block is None else block
        self.cid = cid or cid_of(self.block)

    def op(self):
        return {"action": self.action, "path": self.path, "cid": link(self.cid)}


class Delete:
    sent = False

    def __init__(self, path):
        self.path = path

    def op(self):
        return {"action": "delete", "path": self.path, "cid": None}


class Sequence:
    """Gives out sequence numbers, and revs that rise with them."""

    def __init__(self, first=1):
        self.next = first

    def take(self):
        self.next += 1
        return self.next - 1


class Repo:
    """One account's events; `time` is that of the frames from now on."""

    def __init__(self, sequence, did):
        self.sequence, self.did, self.rev, self.time = sequence, did, None, TIME

    def commit(self, *ops, **fields):
        number = self.sequence.take()
        since, self.rev = self.rev, tid(START_US + number * 1000)
        root = {"did": self.did, "version": 3, "rev": self.rev, "prev": None, "sig": bytes(64)}
        head = encode({**root, "data": link(cid_of(b"tree"))})
        blocks = [(op.cid, op.block) for op in ops if op.sent] + [(cid_of(head), head)]
        body = {"seq": number, "repo": self.did, "rev": self.rev, "since": since, "time": self.time}
        body |= {"commit": link(cid_of(head)), "blocks": car(cid_of(head), blocks)}
        body |= {"ops": [op.op() for op in ops], "blobs": [], "tooBig": False, "rebase": False}
        return frame("#commit", {**body, **fields})

    def identity(self, handle=None):
        body = {"seq": self.sequence.take(), "did": self.did, "time": self.time}
        return frame("#identity", body | ({"handle": handle} if handle else {}))

    def account(self, active, status=None):
        body = {"seq": self.sequence.take(), "did": self.did, "time": self.time, "active": active}
        return frame("#account", body | ({"status": status} if status else {}))

    def sync(self, rev=None):
        body = {"seq": self.sequence.take(), "did": self.did, "time": self.time, "rev": rev or self.rev}
        head = encode({"did": self.did, "version": 3, "rev": body["rev"], "prev": None})
        return frame("#sync", body | {"blocks": car(cid_of(head), [(cid_of(head), head)])})


def write_frames(frames, path):
    with open(path, "wb") as file:
        for data in frames:
            file.write(struct.pack("<I", len(data)) + data)
    return path
