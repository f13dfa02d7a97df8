"""The oracle: an independent fold of a frame file to what must be in PostgreSQL afterwards.

    frames ([u32 length][frame]...) --events()--> Event --fold()--> State (repos, records)
    truth lines (JSON)              --read_truth()--> the same State

Nothing of standpipe is used: cbor2 decodes, the CAR reader below finds the blocks. Values are
compared as JSON, key order aside. Sources: lexicon com.atproto.sync.subscribeRepos, CAR v1, CID.
"""
import base64
import io
import json
import struct
import sys
from dataclasses import dataclass, field

import cbor2

sys.setrecursionlimit(200_000)  # records nest thousands of levels deep; cbor2 and json recurse in C

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
TYPES = {"#commit": "commit", "#identity": "identity", "#account": "account", "#sync": "sync"}
MAX_SAFE_INTEGER = 2**53 - 1


class Cid(bytes):
    """A link, so that it is never taken for a byte string."""


def cid_text(cid):
    """CIDv1 in base32, CIDv0 (a bare sha2-256 multihash) in base58btc."""
    if cid[:2] == b"\x12\x20" and len(cid) == 34:
        return base58(cid)
    return "b" + base64.b32encode(cid).decode().lower().rstrip("=")


def base58(data):
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def read_frames(path):
    with open(path, "rb") as file:
        data = file.read()
    offset = 0
    while offset < len(data):
        (length,) = struct.unpack_from("<I", data, offset)
        yield data[offset + 4 : offset + 4 + length]
        offset += 4 + length


def link_hook(_decoder, tag):
    if tag.tag == 42 and isinstance(tag.value, bytes) and tag.value[:1] == b"\0":
        return Cid(tag.value[1:])
    return tag


def decode_cbor(data):
    return cbor2.loads(data, tag_hook=link_hook, str_errors="replace")


def read_varint(data, offset):
    value = shift = 0
    while True:
        byte = data[offset]
        offset += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, offset


def read_cid(data, offset):
    """Where the CID that begins at `offset` ends."""
    if data[offset : offset + 2] == b"\x12\x20":
        return offset + 34
    _version, at = read_varint(data, offset)
    _codec, at = read_varint(data, at)
    _hash, at = read_varint(data, at)
    length, at = read_varint(data, at)
    return at + length


def read_car(data):
    """The blocks of a CAR v1 by CID; the first of two with one CID wins."""
    blocks = {}
    if not data:
        return blocks
    length, offset = read_varint(data, 0)
    offset += length
    while offset < len(data):
        length, offset = read_varint(data, offset)
        end = offset + length
        body = read_cid(data, offset)
        blocks.setdefault(bytes(data[offset:body]), bytes(data[body:end]))
        offset = end
    return blocks


def to_json(value):
    """The AT Protocol JSON form of a decoded value."""
    if isinstance(value, Cid):
        return {"$link": cid_text(value)}
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode().rstrip("=")}
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    return value


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def is_plain(value):
    """Whether PostgreSQL's jsonb and the data model can both say this JSON value exactly."""
    if isinstance(value, str):
        return "\0" not in value
    if isinstance(value, bool) or value is None:
        return True
    if isinstance(value, int):
        return abs(value) <= MAX_SAFE_INTEGER
    if isinstance(value, dict):
        return all(is_plain(key) and is_plain(item) for key, item in value.items())
    if isinstance(value, list):
        return all(is_plain(item) for item in value)
    return False


@dataclass
class Op:
    action: str
    path: str
    cid: str = None
    block: bytes = None  # the record's block; None: a delete, or the block is missing
    record: object = None  # JSON

    @property
    def key(self):
        return tuple(self.path.split("/", 1))


@dataclass
class Event:
    type: str
    sequence: int
    did: str
    time: str
    rev: str
    body: dict
    ops: list = field(default_factory=list)


def read_op(op, blocks):
    cid = op.get("cid")
    if op["action"] == "delete":
        return Op("delete", op["path"])
    block = blocks.get(bytes(cid)) if cid else None
    record = to_json(decode_cbor(block)) if block is not None else None
    return Op(op["action"], op["path"], cid_text(cid) if cid else None, block, record)


def decode_frame(frame):
    """An Event, or None for what makes no entry (#info, errors, unknown types)."""
    stream = io.BytesIO(frame)
    decoder = cbor2.CBORDecoder(stream, tag_hook=link_hook, str_errors="replace")
    header, body = decoder.decode(), decoder.decode()
    if header.get("op") != 1 or header.get("t") not in TYPES:
        return None
    kind = TYPES[header["t"]]
    did = body["repo"] if kind == "commit" else body["did"]
    event = Event(kind, body["seq"], did, body["time"], body.get("rev", ""), body)
    if kind == "commit":
        blocks = read_car(body.get("blocks", b""))
        event.ops = [read_op(op, blocks) for op in body["ops"]]
    return event


def events(path):
    for frame in read_frames(path):
        event = decode_frame(frame)
        if event:
            yield event


@dataclass
class Repo:
    handle: str = None
    active: bool = True
    status: str = None
    rev: str = None

    @property
    def account(self):
        """What readers of `repos` see: the status counts only where the account is not active."""
        return "active" if self.active else (self.status or "inactive")


@dataclass
class State:
    repos: dict = field(default_factory=dict)  # did -> Repo
    rows: dict = field(default_factory=dict)  # (did, collection, rkey) -> (cid, JSON value)

    def repo(self, did):
        return self.repos.setdefault(did, Repo())

    def live(self):
        """The rows of active repos."""
        return {key: row for key, row in self.rows.items() if self.repo(key[0]).active}


def apply_commit(state, event):
    repo = state.repo(event.did)
    if repo.rev and event.rev <= repo.rev:
        return
    repo.rev = event.rev
    for op in event.ops:
        key = (event.did, *op.key)
        if op.action == "delete":
            state.rows.pop(key, None)
        elif op.block is not None:
            state.rows[key] = (op.cid, op.record)


def apply_account(state, event):
    repo = state.repo(event.did)
    repo.active, repo.status = event.body["active"], event.body.get("status")
    if repo.status == "deleted" and not repo.active:
        for key in [key for key in state.rows if key[0] == event.did]:
            del state.rows[key]


def apply_identity(state, event):
    repo = state.repo(event.did)
    repo.handle = event.body.get("handle") or repo.handle


def apply_sync(state, event):
    state.repo(event.did)


APPLY = {
    "commit": apply_commit,
    "account": apply_account,
    "identity": apply_identity,
    "sync": apply_sync,
}


def fold(frames):
    """The state after all frames of a file, each applied once and in order."""
    state = State()
    for event in events(frames):
        APPLY[event.type](state, event)
    return state


def read_truth(path):
    """The state that a truth file says (lines of type account and record)."""
    state = State()
    with open(path, encoding="utf-8") as file:
        for line in file:
            item = json.loads(line)
            if item["type"] == "account":
                status = None if item["active"] else item["status"]
                state.repos[item["did"]] = Repo(item["handle"], item["active"], status, item["rev"])
            elif item["type"] == "record":
                key = (item["did"], item["collection"], item["rkey"])
                state.rows[key] = (item["cid"], item["value"])
    return state


def row_difference(key, want, got):
    if want is None:
        return f"{'/'.join(key)}: a live record too many"
    if got is None:
        return f"{'/'.join(key)}: missing"
    if want[0] != got[0]:
        return f"{'/'.join(key)}: cid {got[0]}, expected {want[0]}"
    if canonical(want[1]) != canonical(got[1]):
        return f"{'/'.join(key)}: value {canonical(got[1])[:200]}, expected {canonical(want[1])[:200]}"
    return None


def repo_differences(did, want, got):
    if got is None:
        return [f"repo {did}: missing"]
    found = []
    for name in ("handle", "account", "rev"):
        expected, seen = getattr(want, name), getattr(got, name)
        if expected != seen and not (name == "rev" and expected is None):
            found.append(f"repo {did}: {name} {seen!r}, expected {expected!r}")
    return found


def differences(want, got):
    """Every way in which `got` is not what `want` says, as sentences; empty: they are equal."""
    wanted, seen, found = want.live(), got.live(), []
    for key in sorted(wanted.keys() | seen.keys()):
        sentence = row_difference(key, wanted.get(key), seen.get(key))
        if sentence:
            found.append(sentence)
    for did in sorted(want.repos):
        found += repo_differences(did, want.repos[did], got.repos.get(did))
    return found
