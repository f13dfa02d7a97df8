"""What an entry's `data` must be, from the oracle's Event: keys in their order, values as JSON."""
import base64
import json

import oracle

COMMIT_KEYS = ["repo", "ops", "rev", "since", "commit", "prevData", "time", "seq"]
IDENTITY_KEYS = ["did", "handle", "time", "seq"]
ACCOUNT_KEYS = ["did", "active", "status", "time", "seq"]
SYNC_KEYS = ["did", "rev", "time", "seq"]
OP_KEYS = ["action", "path", "cid", "record", "cbor", "invalid"]


class Pairs(list):
    """A JSON object that kept its order and its doubles."""


def parse(text):
    return json.loads(text, object_pairs_hook=Pairs)


def plain(value):
    """Pairs back to dicts."""
    if isinstance(value, Pairs):
        return {key: plain(item) for key, item in value}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def keys(pairs):
    return [key for key, _ in pairs]


def same_order(pairs, value):
    """Whether JSON objects keep the order of the decoded record, at every level."""
    if isinstance(pairs, Pairs):
        return keys(pairs) == list(value) and all(
            same_order(item, value[key]) for key, item in pairs
        )
    if isinstance(pairs, list):
        return all(same_order(item, other) for item, other in zip(pairs, value))
    return True


def in_order(found, allowed):
    return found == [key for key in allowed if key in found]


def check_op(pairs, op):
    """The ways in which one op of `data` is not what its frame says."""
    found = dict(pairs)
    name = f"{op.action} {op.path}"
    if op.action == "delete":
        return [] if keys(pairs) == ["action", "path"] else [f"{name}: keys {keys(pairs)}"]
    problems = [] if in_order(keys(pairs), OP_KEYS) else [f"{name}: key order {keys(pairs)}"]
    if (found["action"], found["path"], found.get("cid")) != (op.action, op.path, op.cid):
        problems.append(f"{name}: action, path or cid differ")
    return problems + check_record(name, found, op)


def check_record(name, found, op):
    if op.block is None:
        return [] if found.get("invalid") else [f"{name}: a missing block is not said"]
    problems = []
    if "cbor" in found and decode_base64(found["cbor"]) != op.block:
        problems.append(f"{name}: cbor is not the block")
    if "cbor" in found and not found.get("invalid"):
        problems.append(f"{name}: cbor without a reason")
    if found["record"] is None and "cbor" in found:
        return problems
    if oracle.canonical(plain(found["record"])) != oracle.canonical(op.record):
        problems.append(f"{name}: record {str(found['record'])[:200]}")
    elif not same_order(found["record"], op.record):
        problems.append(f"{name}: keys are not in the record's own order")
    return problems


def decode_base64(text):
    return base64.b64decode(text + "=" * (-len(text) % 4))


def expected_scalars(event):
    """Key order and scalar values of `data`, by type."""
    body = event.body
    common = {"time": event.time, "seq": event.sequence}
    if event.type == "commit":
        link = lambda cid: oracle.cid_text(cid) if cid else None  # noqa: E731
        links = {"commit": link(body["commit"]), "prevData": link(body.get("prevData"))}
        return COMMIT_KEYS, {"repo": event.did, "rev": event.rev, "since": body["since"], **links, **common}
    if event.type == "identity":
        return IDENTITY_KEYS, {"did": event.did, "handle": body.get("handle") or event.did, **common}
    if event.type == "account":
        status = body.get("status")
        return ACCOUNT_KEYS, {"did": event.did, "active": body["active"], "status": status, **common}
    return SYNC_KEYS, {"did": event.did, "rev": event.rev, **common}


def check_data(text, event):
    """Every way in which the text of `data` is not what `event` asks for; empty: none."""
    pairs = parse(text)
    found, (order, scalars) = dict(pairs), expected_scalars(event)
    name = f"{event.type} {event.sequence}"
    problems = [] if keys(pairs) == order else [f"{name}: keys {keys(pairs)}"]
    for key, value in scalars.items():
        if found.get(key) != value:
            problems.append(f"{name}: {key} is {found.get(key)!r}, expected {value!r}")
    if event.type == "commit":
        problems += check_ops(name, found["ops"], event.ops)
    return problems + check_compact(name, text)


def check_ops(name, found, ops):
    if len(found) != len(ops):
        return [f"{name}: {len(found)} ops, expected {len(ops)}"]
    return [problem for pairs, op in zip(found, ops) for problem in check_op(pairs, op)]


def check_compact(name, text):
    """No white space between tokens; U+0020 and above are raw, `/` and `<` too."""
    compact = json.dumps(plain(parse(text)), separators=(",", ":"), ensure_ascii=False)
    if len(compact.encode(errors="replace")) != len(text.encode(errors="replace")):
        return [] if has_numbers_or_doubles(text) else [f"{name}: not compact: {text[:200]}"]
    return []


def has_numbers_or_doubles(text):
    """Where Python's own spelling may differ: control escapes, exponents, doubled keys."""
    return "\\u" in text or "e+" in text or "E" in text or "\\b" in text or "\\f" in text
