#!/usr/bin/python3
"""A client that means harm, in a process of its own: attacker.py KIND PORT SECONDS [COUNT] -> a line of JSON.

    slowloris     heads that never end, a byte at a time
    flood         COUNT connections held open, replaced as fast as they are closed
    pipeline      requests without end on a few connections, cut anywhere
    oversize      lines and headers over every limit
    readers       streams of events and pages that nobody reads

Loopback only; ends by itself. COUNT is what is held at once.
"""
import errno
import json
import random
import resource
import selectors
import socket
import sys
import time

HEAD = b"GET /metrics HTTP/1.1\r\nHost: x\r\n"
PATIENCE_SECONDS = 60
LONG = b"a" * 20_000
OVERSIZE = [
    b"GET /" + LONG + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    HEAD + b"X: " + LONG + b"\r\n\r\n",
    HEAD + b"".join(b"X-%d: y\r\n" % n for n in range(200)) + b"\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n",
    b"\0" * 64 + b"\r\n\r\n",
    LONG,
]


class Client:
    """One connection: what it still has to send, and whether it reads."""

    def __init__(self, port):
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.connect_ex(("127.0.0.1", port))
        self.rest, self.got, self.since = b"", b"", time.monotonic()

    def fileno(self):
        return self.socket.fileno()

    def send(self, most=1 << 16):
        try:
            sent = self.socket.send(self.rest[:most])
            self.rest = self.rest[sent:]
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise

    def receive(self):
        """False: the server has closed."""
        try:
            received = self.socket.recv(1 << 16)
        except BlockingIOError:
            return True
        self.got = (self.got + received)[:256]
        return received != b""


class Attack:
    def __init__(self, kind, port, seconds, count):
        self.kind, self.port, self.count = kind, port, count
        self.end = time.monotonic() + seconds
        self.selector, self.clients = selectors.DefaultSelector(), set()
        self.figures = {"opened": 0, "refused_with_503": 0, "closed_without_a_word": 0, "answered": 0, "held_most": 0}
        self.random = random.Random(1)

    def open(self):
        client = Client(self.port)
        client.rest = self.first_bytes()
        self.clients.add(client)
        self.figures["opened"] += 1
        self.selector.register(client, selectors.EVENT_READ if self.reads() else selectors.EVENT_WRITE)

    def reads(self):
        return self.kind != "readers"

    def first_bytes(self):
        if self.kind == "pipeline":
            return (HEAD + b"\r\n") * 200
        if self.kind == "oversize":
            return self.random.choice(OVERSIZE)
        if self.kind == "readers":
            path = self.random.choice([b"/api/events/stream", b"/metrics", b"/api/metrics"])
            return (b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n") * 50
        return b""  # slowloris sends later, flood nothing

    def close(self, client):
        self.selector.unregister(client)
        self.clients.discard(client)
        client.socket.close()
        word = client.got[9:12]
        key = "refused_with_503" if word == b"503" else "answered" if word else "closed_without_a_word"
        self.figures[key] += 1

    def feed(self, client):
        if self.kind == "slowloris" and not client.rest:
            client.rest = self.random.choice([b"G", b"X: y\r\n", HEAD])[:1]
        if client.rest:
            client.send(self.random.randint(1, 3000) if self.kind == "pipeline" else 1 << 16)
        elif self.kind == "pipeline":
            client.rest = self.first_bytes()

    def step(self):
        for _ in range(min(200, self.count - len(self.clients))):
            self.open()
        self.figures["held_most"] = max(self.figures["held_most"], len(self.clients))
        for key, _ in self.selector.select(0.02):
            try:
                is_open = key.fileobj.receive() if self.reads() else True
            except OSError:
                is_open = False
            if not is_open:
                self.close(key.fileobj)
        for client in self.random.sample(sorted(self.clients, key=id), min(len(self.clients), 300)):
            try:
                self.feed(client)
            except OSError:
                self.close(client)

    def goes_on(self):
        """For its time; longer, where a busy machine has not let it open as many as it shall hold."""
        now = time.monotonic()
        return now < self.end or (self.figures["opened"] < self.count and now < self.end + PATIENCE_SECONDS)

    def run(self):
        while self.goes_on():
            self.step()
            time.sleep(0.005)  # an attacker that leaves some of the machine to those it attacks
        return self.figures


def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    kind, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    count = int(sys.argv[4]) if len(sys.argv) > 4 else 200
    print(json.dumps(Attack(kind, port, seconds, count).run()), flush=True)


if __name__ == "__main__":
    main()
