"""Is the relay's input right? Reads its frames with a strict decoder of its own, folds them and compares with its
truth, and asks for every cursor rule and every fault over a socket. Usage: selftest.py RELAY_BINARY [unittest args]"""
import base64
import collections
import hashlib
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import unittest

RELAY = ""
DEADLINE_S = 30


class Link(str):
    pass


def decode(data, at=0):
    """One strict DAG-CBOR item: shortest heads, sorted keys, tag 42 only. Returns (value, where it ends)."""
    first, at = data[at], at + 1
    major, info = first >> 5, first & 31
    if info < 24:
        number = info
    else:
        assert info <= 27, "no definite length"
        width = 1 << (info - 24)
        number = int.from_bytes(data[at:at + width], "big")
        at += width
        if major != 7:
            assert number >= (24 if width == 1 else 1 << (4 * width)), "not the shortest head"
    if major == 0:
        return number, at
    if major == 1:
        return -1 - number, at
    if major in (2, 3):
        raw = data[at:at + number]
        assert len(raw) == number, "cut short"
        return (raw if major == 2 else raw.decode("utf-8")), at + number
    if major == 4:
        items = []
        for _ in range(number):
            item, at = decode(data, at)
            items.append(item)
        return items, at
    if major == 5:
        pairs, before = {}, None
        for _ in range(number):
            key, at = decode(data, at)
            assert isinstance(key, str), "a key is no text"
            order = (len(key.encode()), key.encode())
            assert before is None or before < order, f"keys are not sorted: {key}"
            before = order
            pairs[key], at = decode(data, at)
        return pairs, at
    if major == 6:
        assert number == 42, "a tag that is not 42"
        raw, at = decode(data, at)
        assert raw[0] == 0 and len(raw) == 37
        return Link(cid_text(raw[1:])), at
    return {20: False, 21: True, 22: None}[info], at


def cid_text(raw):
    return "b" + base64.b32encode(raw).decode().lower().rstrip("=")


def decode_frame(frame):
    header, at = decode(frame)
    body, at = decode(frame, at)
    assert at == len(frame), "bytes behind the body"
    return header, body


def varint(data, at):
    number = shift = 0
    while True:
        byte, at = data[at], at + 1
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return number, at


def read_car(data):
    """Roots and {cid: block}; every block is hashed."""
    size, at = varint(data, 0)
    header, end = decode(data, at)
    assert end == at + size and header["version"] == 1
    at, blocks = end, {}
    while at < len(data):
        size, at = varint(data, at)
        cid, block = data[at:at + 36], data[at + 36:at + size]
        assert cid[:4] == b"\x01\x71\x12\x20" and cid[4:] == hashlib.sha256(block).digest(), "wrong hash"
        decoded, end = decode(block)
        assert end == len(block)
        blocks[cid_text(cid)] = decoded
        at += size
    return header["roots"], blocks


def to_json(value):
    if isinstance(value, Link):
        return {"$link": str(value)}
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode().rstrip("=")}
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [to_json(item) for item in value]
    return value


def read_frames(path):
    with open(path, "rb") as file:
        data = file.read()
    at, frames = 0, []
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        frames.append(data[at + 4:at + 4 + size])
        at += 4 + size
    return frames


class Fold:
    """What a consumer must hold after the frames it was given."""

    def __init__(self):
        self.accounts, self.records, self.kinds = {}, {}, collections.Counter()
        self.blocks = 0

    def account(self, did):
        return self.accounts.setdefault(did, {"handle": None, "status": "active", "rev": None, "head": None, "data": None})

    def apply(self, header, body):
        kind = header["t"]
        self.kinds[kind] += 1
        account = self.account(body["repo" if kind == "#commit" else "did"])
        if kind == "#identity":
            account["handle"] = body.get("handle", account["handle"])
        elif kind == "#account":
            account["status"] = "active" if body["active"] else body["status"]
            if account["status"] == "deleted":
                self.records[body["did"]] = {}
                account.update(rev=None, head=None, data=None)
        elif kind == "#sync":
            roots, blocks = read_car(body["blocks"])
            assert roots == [account["head"]] and body["rev"] == account["rev"] == blocks[roots[0]]["rev"]
        else:
            self.apply_commit(account, body)

    def apply_commit(self, account, body):
        assert account["status"] == "active", "a commit of an account that is away"
        roots, blocks = read_car(body["blocks"])
        self.blocks += len(blocks)
        commit = blocks[body["commit"]]
        assert roots == [body["commit"]] and commit["rev"] == body["rev"] and commit["did"] == body["repo"]
        assert body["since"] == account["rev"] and body.get("prevData") == account["data"]
        assert account["rev"] is None or body["rev"] > account["rev"], "revs do not rise"
        assert commit["data"] in blocks
        records = self.records.setdefault(body["repo"], {})
        for op in body["ops"]:
            self.kinds[op["action"] + " " + op["path"].split("/")[0]] += 1
            assert (op["path"] in records) == (op["action"] != "create"), op
            assert op.get("prev") == (records[op["path"]][0] if op["action"] != "create" else None)
            if op["action"] == "delete":
                del records[op["path"]]
            else:
                assert blocks[op["cid"]]["$type"] == op["path"].split("/")[0]
                records[op["path"]] = (op["cid"], to_json(blocks[op["cid"]]))
        account.update(rev=body["rev"], head=body["commit"], data=commit["data"])

    def truth(self):
        lines = []
        for did, account in sorted(self.accounts.items()):
            active = account["status"] == "active"
            lines.append({"type": "account", "did": did, "handle": account["handle"], "active": active,
                          "status": account["status"], "rev": account["rev"], "head": account["head"],
                          "records": len(self.records.get(did, {})) if active else 0})
        for did, records in sorted(self.records.items()):
            if self.accounts[did]["status"] != "active":
                continue
            for path, (cid, value) in sorted(records.items(), key=lambda item: item[0].split("/")):
                collection, rkey = path.split("/")
                lines.append({"type": "record", "did": did, "collection": collection, "rkey": rkey,
                              "cid": cid, "value": value})
        return lines


class Subscriber:
    """The least WebSocket client: it masks, counts pings and gives messages as (opcode, bytes)."""

    def __init__(self, url, cursor=None):
        self.pings, self.data = 0, b""
        host, port = url.split("//")[1].split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=DEADLINE_S)
        query = "" if cursor is None else f"?cursor={cursor}"
        self.socket.sendall(f"GET /xrpc/com.atproto.sync.subscribeRepos{query} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
        while b"\r\n\r\n" not in self.data:
            self.fill()
        head, self.data = self.data.split(b"\r\n\r\n", 1)
        assert b"101" in head and b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head, head  # RFC 6455, 1.3

    def fill(self):
        more = self.socket.recv(1 << 20)
        if not more:
            raise EOFError
        self.data += more

    def take(self, size):
        while len(self.data) < size:
            self.fill()
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def message(self):
        while True:
            opcode, size = self.take(2)
            if size >= 126:
                size = int.from_bytes(self.take(2 if size == 126 else 8), "big")
            payload = self.take(size)
            if opcode & 15 != 9:
                return opcode & 15, payload
            self.pings += 1

    def send(self, opcode, payload):
        self.socket.sendall(bytes([128 | opcode, 128 | len(payload), 0, 0, 0, 0]) + payload)

    def sequences(self, count):
        return [decode_frame(self.message()[1])[1]["seq"] for _ in range(count)]

    def rest(self):
        """Messages until the end, and how it came: close, end or reset."""
        messages = []
        try:
            while True:
                opcode, payload = self.message()
                if opcode == 8:
                    return messages, "close"
                messages.append((opcode, payload))
        except EOFError:
            return messages, "end"
        except ConnectionResetError:
            return messages, "reset"

    def close(self):
        self.socket.close()


class RelayTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.frames_path = os.path.join(cls.folder.name, "frames.bin")
        cls.truth_path = os.path.join(cls.folder.name, "truth.jsonl")
        subprocess.run([RELAY, "--generate", "6000", "--seed", "7", "--repos", "40", "--write", cls.frames_path,
                        "--truth", cls.truth_path], check=True)
        cls.frames = read_frames(cls.frames_path)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def serve(self, *options, source=None):
        source = source or ("--file", self.frames_path)
        process = subprocess.Popen([RELAY, *source, "--listen", "127.0.0.1:0", *options], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        line = process.stdout.readline().split()
        self.assertEqual(line[0], "listening")
        self.process = process
        return line[1]

    def subscribe(self, url, cursor=None):
        subscriber = Subscriber(url, cursor)
        self.addCleanup(subscriber.close)
        return subscriber

    def counters(self):
        self.process.terminate()
        _, errors = self.process.communicate(timeout=DEADLINE_S)
        self.assertEqual(self.process.returncode, 0, errors)
        return json.loads(errors.splitlines()[-1])

    def test_the_fold_of_the_frames_is_the_truth(self):
        fold = Fold()
        for number, frame in enumerate(self.frames, 1):
            header, body = decode_frame(frame)
            self.assertEqual(body["seq"], number)
            fold.apply(header, body)
        with open(self.truth_path, encoding="utf-8") as file:
            truth = [json.loads(line) for line in file]
        self.assertEqual(fold.truth(), truth)
        statuses = {line["status"] for line in truth if line["type"] == "account"}
        self.assertLessEqual({"active", "deleted"}, statuses)
        self.assertGreater(len(statuses), 2)

    def test_the_mix_and_the_sizes_are_those_of_the_network(self):
        fold = Fold()
        for frame in self.frames:
            fold.apply(*decode_frame(frame))
        commits, total = fold.kinds["#commit"], len(self.frames)
        self.assertAlmostEqual(fold.kinds["create app.bsky.feed.like"] / total, 0.69, delta=0.04)
        self.assertAlmostEqual(fold.kinds["create app.bsky.feed.post"] / total, 0.11, delta=0.03)
        self.assertAlmostEqual(fold.blocks / commits, 10, delta=2)
        mean = sum(len(frame) for frame in self.frames) / total
        self.assertAlmostEqual(mean, 5400, delta=400)
        for kind in ("#sync", "#identity", "#account", "update app.bsky.actor.profile"):
            self.assertGreater(fold.kinds[kind], 0, kind)

    def test_one_seed_gives_one_history_and_another_seed_another(self):
        again, other = (os.path.join(self.folder.name, name) for name in ("again", "other"))
        for path, seed in ((again, "7"), (other, "8")):
            subprocess.run([RELAY, "--generate", "6000", "--seed", seed, "--repos", "40", "--write", path], check=True)
        self.assertEqual(read_frames(again), self.frames)
        self.assertNotEqual(read_frames(other), self.frames)

    def test_a_cursor_starts_after_it_and_an_inclusive_relay_at_it(self):
        self.assertEqual(self.subscribe(self.serve(), 100).sequences(3), [101, 102, 103])
        url = self.serve("--cursor-inclusive")
        self.assertEqual(self.subscribe(url, 100).sequences(3), [100, 101, 102])
        self.assertEqual(self.subscribe(url, 0).sequences(1), [1])

    def test_cursor_zero_is_the_oldest_and_one_before_the_window_is_told_so(self):
        url = self.serve("--first-seq", "500", source=("--generate", "50"))
        self.assertEqual(self.subscribe(url, 0).sequences(1), [500])
        self.assertEqual(self.subscribe(url, 499).sequences(1), [500])
        old = self.subscribe(url, 100)
        self.assertEqual(decode_frame(old.message()[1])[1]["name"], "OutdatedCursor")
        self.assertEqual(old.sequences(1), [500])

    def test_a_future_cursor_gets_an_error_frame_and_the_end(self):
        messages, end = self.subscribe(self.serve(), 6001).rest()
        header, body = decode_frame(messages[0][1])
        self.assertEqual((header, body["error"], end, len(messages)), ({"op": -1}, "FutureCursor", "close", 1))
        self.assertEqual(self.counters()["future_cursors"], 1)

    def test_without_a_cursor_comes_only_what_is_released_later(self):
        url = self.serve("--rate", "500")
        first = self.subscribe(url).sequences(40)
        self.assertEqual(first, list(range(first[0], first[0] + 40)))
        self.assertGreaterEqual(self.subscribe(url).sequences(1)[0], first[-1])

    def test_the_rate_is_kept(self):
        subscriber = self.subscribe(self.serve("--rate", "1000"), 0)
        subscriber.sequences(1)
        head = subprocess.run(["date", "+%s%N"], capture_output=True, text=True, check=True).stdout
        subscriber.sequences(1000)
        tail = subprocess.run(["date", "+%s%N"], capture_output=True, text=True, check=True).stdout
        self.assertAlmostEqual((int(tail) - int(head)) / 1e9, 1.0, delta=0.35)

    def test_several_clients_get_everything_and_the_end(self):
        url = self.serve("--exit-when-done")
        subscribers = [self.subscribe(url, 0) for _ in range(3)]
        for subscriber in subscribers:
            messages, end = subscriber.rest()
            self.assertEqual(([payload for _, payload in messages], end), (self.frames, "close"))

    def test_pings_are_answered_and_a_close_is_returned(self):
        subscriber = self.subscribe(self.serve(), 6000)
        subscriber.send(9, b"hello")
        self.assertEqual(subscriber.message(), (10, b"hello"))
        subscriber.send(8, b"\x03\xe8")
        self.assertEqual(subscriber.rest(), ([], "close"))

    def test_drop_reset_and_half_frame_end_after_so_many_frames(self):
        for option, end in (("--drop-after", "end"), ("--half-frame-after", "end"), ("--reset-after", "reset")):
            with self.subTest(option):
                url = self.serve(option, "20")
                for cursor in (0, 20):  # once per connection
                    messages, how = self.subscribe(url, cursor).rest()
                    self.assertEqual(how, end)
                    wanted = self.frames[cursor:cursor + 20]
                    if end == "reset":  # what was under way may be lost with it
                        wanted = wanted[:len(messages)]
                    self.assertEqual([payload for _, payload in messages], wanted)

    def test_a_stalled_connection_is_open_and_silent(self):
        subscriber = self.subscribe(self.serve("--stall-after", "5", "--ping-interval-ms", "50"), 0)
        subscriber.sequences(5)
        subscriber.send(9, b"are you there")
        subscriber.socket.settimeout(0.4)
        with self.assertRaises(socket.timeout):
            subscriber.message()
        self.assertEqual(self.counters()["stalls"], 1)

    def test_an_error_frame_is_made_to_order(self):
        messages, end = self.subscribe(self.serve("--error-frame", "ConsumerTooSlow", "--error-after", "3"), 0).rest()
        self.assertEqual((len(messages), end), (4, "close"))
        self.assertEqual(decode_frame(messages[3][1])[1]["error"], "ConsumerTooSlow")

    def test_a_regressed_relay_counts_from_one_for_everybody(self):
        url = self.serve("--regress-after", "10")
        self.assertEqual(self.subscribe(url, 0).sequences(13), [*range(1, 11), 1, 2, 3])
        self.assertEqual(self.subscribe(url, 2).sequences(2), [3, 4])
        self.assertEqual(decode_frame(self.subscribe(url, 5995).rest()[0][0][1])[1]["error"], "FutureCursor")

    def test_noise_never_takes_a_good_frame_away(self):
        url = self.serve("--duplicate", "100", "--garbage", "100", "--text-frames", "--ping-flood=2", "--ping-interval-ms=0", "--exit-when-done")
        subscriber = self.subscribe(url, 0)
        good = dict.fromkeys(self.frames)
        messages, _ = subscriber.rest()
        binary = [payload for opcode, payload in messages if opcode == 2 and payload in good]
        self.assertEqual(list(dict.fromkeys(binary)), self.frames)
        self.assertGreater(len(binary), len(self.frames))
        self.assertGreater(len(messages), len(binary))
        self.assertEqual(subscriber.pings, 2 * len(self.frames))

    def test_a_reconnect_replays_frames_before_the_cursor(self):
        url = self.serve("--reconnect-replay", "10")
        self.assertEqual(self.subscribe(url, 100).sequences(1), [101])
        self.assertEqual(self.subscribe(url, 100).sequences(1), [91])

    def test_one_byte_at_a_time_is_the_same_stream(self):
        url = self.serve("--slow-bytes", "--exit-when-done", source=("--generate", "20", "--seed", "7", "--repos", "40"))
        messages, _ = self.subscribe(url, 0).rest()
        self.assertEqual([payload for _, payload in messages], self.frames[:20])

    def test_a_client_that_does_not_read_makes_the_relay_wait_and_not_grow(self):
        subscriber = self.subscribe(self.serve("--reconnect-replay", "0"), 0)
        subscriber.sequences(1)
        other = self.subscribe(self.serve_url_of(subscriber), 5999)
        other.sequences(1)
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            anonymous = [int(line.split()[1]) for line in file if line.startswith("RssAnon")][0]
        self.assertLess(anonymous, 200_000)  # KiB; a sanitizer's own memory counts here

    @staticmethod
    def serve_url_of(subscriber):
        host, port = subscriber.socket.getpeername()
        return f"ws://{host}:{port}"

    def test_an_endless_relay_goes_on_where_it_stopped_and_bounds_its_window(self):
        clock = os.path.join(self.folder.name, "clock")
        source = ("--generate", "0", "--repos", "30", "--rate", "300", "--window", "500", "--clock-file", clock)
        last = self.subscribe(self.serve(source=source), 0).sequences(900)[-1]
        self.process.kill()
        self.process.wait()
        url = self.serve(source=source)
        self.assertEqual(self.subscribe(url, last).sequences(2), [last + 1, last + 2])
        self.assertEqual(decode_frame(self.subscribe(url, 1).message()[1])[1]["name"], "OutdatedCursor")
        self.assertEqual(decode_frame(self.subscribe(url, 10**9).rest()[0][0][1])[1]["error"], "FutureCursor")

    def test_a_relay_started_again_with_a_rate_accepts_what_it_sent_before(self):
        self.assertEqual(self.subscribe(self.serve("--rate", "10"), 3000).sequences(1), [3001])


if __name__ == "__main__":
    RELAY = sys.argv.pop(1)
    unittest.main(verbosity=2)
