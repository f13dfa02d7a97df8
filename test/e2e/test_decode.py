"""`standpipe decode` and cbor2 read the same in every frame."""
import json
import subprocess

import pytest

import oracle
import streamed
from handmade import Create, Delete, Repo, Sequence, encode, write_frames
from harness.process import clean_environment


def check_lines(lines, path):
    """decode prints one JSON object a frame that makes an entry."""
    expected = list(oracle.events(path))
    assert len(lines) == len(expected)
    problems = []
    for line, event in zip(lines, expected):
        problems += check_line(line, event)
    return problems


def check_line(line, event):
    pairs = dict(streamed.parse(line))
    problems = []
    if (pairs["type"], int(pairs["seq"]), pairs["time"]) != (event.type, event.sequence, event.time):
        problems.append(f"{event.sequence}: type, seq or time differ")
    if pairs.get("rev", "") != event.rev:
        problems.append(f"{event.sequence}: rev {pairs.get('rev')!r}")
    return problems + streamed.check_data(data_text(line), event)


def data_text(line):
    """The bytes of `data` as they stand in the line."""
    start = line.index('"data":') + len('"data":')
    _value, end = json.JSONDecoder().raw_decode(line, start)
    text = line[start:end]
    return json.loads(text) if text.startswith('"') else text


def test_every_frame_of_a_capture_agrees_with_cbor2(decode, capture):
    assert check_lines(decode(capture.frames), capture.frames) == []


def nested(depth):
    """A record of arrays in arrays, encoded by hand: no recursion."""
    return b"\xa1\x61a" + b"\x81" * depth + b"\x01"


ODD_RECORDS = {
    "U+0000": {"text": "a\0b"},
    "integers beyond 2^53": {"big": 2**60, "low": -(2**60)},
    "the largest integers": {"big": 2**64 - 1, "low": -(2**64)},
    "an empty key": {"": 1, "$type": ""},
    "plain maps that look like links": {"a": {"$link": "nope"}, "b": {"$bytes": "***"}},
    "bytes of every length of padding": {"a": b"", "b": b"1", "c": b"12", "d": b"123"},
    "control characters and quotes": {"t": "".join(map(chr, range(1, 33))) + '"\\/<\x7f'},
    "all planes": {"t": "é漢😀\u2028"},
}


@pytest.mark.parametrize("what", ODD_RECORDS)
def test_an_odd_record_is_said_exactly(decode, folder, what):
    repo = Repo(Sequence(), "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")
    frames = [repo.commit(Create("com.example.odd/self", ODD_RECORDS[what]))]
    path = write_frames(frames, folder / "odd.bin")
    assert check_lines(decode(path), path) == []


@pytest.mark.parametrize("depth", [30, 1000, 4000, 5000, 100_000])
def test_a_deep_record_is_kept(decode, folder, depth):
    repo = Repo(Sequence(), "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")
    block = nested(depth)
    path = write_frames([repo.commit(Create("com.example.deep/self", block=block))], folder / "d.bin")
    (line,) = decode(path)
    assert '"invalid"' in line or "[" * depth in line
    if '"cbor":"' in line:
        text = line.split('"cbor":"')[1].split('"')[0]
        assert streamed.decode_base64(text) == block


def test_a_commit_with_a_missing_block_keeps_the_op_and_says_so(decode, folder):
    repo = Repo(Sequence(), "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")
    ops = [Create("com.example.x/a", {"a": 1}, sent=False), Create("com.example.x/b", {"a": 2})]
    path = write_frames([repo.commit(*ops, Delete("com.example.x/c"))], folder / "m.bin")
    lines = decode(path)
    assert check_lines(lines, path) == []
    assert "missing block" in lines[0]


def test_frames_that_make_no_entry_are_named(decode, folder):
    info = encode({"op": 1, "t": "#info"}) + encode({"name": "OutdatedCursor"})
    future = encode({"op": 1, "t": "#tomorrow"}) + encode({"seq": 5})
    error = encode({"op": -1}) + encode({"error": "FutureCursor"})
    lines = [json.loads(line) for line in decode(write_frames([info, future, error], folder / "i.bin"))]
    assert [line["type"] for line in lines] == ["info", "ignored", "error"]
    assert [line["name"] for line in lines] == ["OutdatedCursor", "#tomorrow", "FutureCursor"]


def test_a_frame_that_is_none_is_said_and_the_rest_is_decoded(standpipe, folder):
    repo = Repo(Sequence(), "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")
    good = [repo.commit(Create("com.example.x/a", {"n": n})) for n in range(2)]
    path = write_frames([good[0], b"\xff garbage", b"", good[1]], folder / "g.bin")
    command = [standpipe, "decode", path]
    done = subprocess.run(command, capture_output=True, timeout=60, env=clean_environment())
    lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
    assert [line.get("type", "refused") for line in lines] == ["commit", "refused", "refused", "commit"]
    assert all(line["error"] and line["text"] for line in lines[1:3])
    assert done.returncode == 1


@pytest.mark.parametrize("size, what", [(2, "the input ends inside a length"), (7, "the input ends inside this frame")])
def test_an_input_that_is_cut_off_is_said_with_the_place_and_what_to_do(standpipe, folder, size, what):
    path = folder / "cut.bin"
    path.write_bytes(b"\x10\0\0\0 and less"[:size])
    done = subprocess.run([standpipe, "decode", path], capture_output=True, text=True, timeout=60, env=clean_environment())
    assert done.returncode == 1
    assert done.stderr == f"standpipe: decode: {path}: at byte 0: {what}: it is cut off: get it whole, or check that it is frames\n"


def test_a_folder_is_no_input(standpipe, folder):
    done = subprocess.run([standpipe, "decode", folder], capture_output=True, text=True, timeout=60, env=clean_environment())
    assert (done.returncode, done.stderr) == (1, f"standpipe: decode: {folder}: at byte 0: Is a directory: give a file that can be read\n")
