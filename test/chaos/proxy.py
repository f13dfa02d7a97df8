"""A proxy that misbehaves on demand, between standpipe and one of its services.

    standpipe --tcp--> Door (its Weather says how the line is today) --tcp or unix--> service

*Threading*: all doors live on one asyncio loop in a thread of its own; the methods of Proxy may be
called from any thread. A Weather is plain numbers that the pumps read before each piece.
"""
import asyncio
import random
import socket
import struct
import threading
import time
from dataclasses import dataclass

PIECE = 65536
RESET_AT_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER with no time: RST


@dataclass
class Weather:
    """How a line is; the defaults are a good one. `up` is towards the service."""

    refuses: bool = False  # new connections are reset at once
    holds: bool = False  # nothing moves; what was sent comes later
    loses_up: bool = False  # what is sent is taken and gone
    loses_down: bool = False
    delay: float = 0.0  # seconds before each piece
    piece: int = PIECE  # bytes a write
    rate: float = 0.0  # bytes a second downwards; 0: no limit
    cut_in: int = -1  # bytes downwards until the connection is reset within a message


@dataclass
class Tally:
    connections: int = 0
    resets: int = 0
    refused: int = 0
    lost_bytes: int = 0
    held_pieces: int = 0
    slow_pieces: int = 0
    cuts: int = 0
    bytes_down: int = 0


class Link:
    """One connection and its two pumps."""

    def __init__(self, door, client, service):
        self.door, self.client, self.service = door, client, service
        self.is_deaf = False  # what it carries is lost for ever: the line is half open
        self.left = -1  # bytes until the cut

    def reset(self):
        for _, writer in (self.client, self.service):
            connection = writer.get_extra_info("socket")
            is_open = connection is not None and connection.fileno() >= 0
            if is_open and connection.family == socket.AF_INET:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
            writer.transport.abort()

    async def pump(self, reader, writer, is_down):
        door = self.door
        while True:
            piece = await door.take(reader, is_down)
            if not piece:
                break
            if self.is_deaf or (door.weather.loses_down if is_down else door.weather.loses_up):
                door.tally.lost_bytes += len(piece)
                continue
            if is_down and await self.is_cut(piece, writer):
                return
            writer.write(piece)
            await writer.drain()
        if not self.is_deaf:
            writer.write_eof()

    async def is_cut(self, piece, writer):
        if self.left < 0:
            return False
        if len(piece) < self.left:
            self.left -= len(piece)
            return False
        writer.write(piece[: self.left])
        await writer.drain()
        await asyncio.sleep(0.05)  # so that the half arrives before the reset
        self.door.tally.cuts += 1
        self.reset()
        return True

    async def run(self):
        pumps = [
            asyncio.ensure_future(self.pump(self.client[0], self.service[1], False)),
            asyncio.ensure_future(self.pump(self.service[0], self.client[1], True)),
        ]
        try:
            await asyncio.gather(*pumps)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for pump in pumps:
                pump.cancel()
            for _, writer in (self.client, self.service):
                writer.close()


class Door:
    """A port that leads to one service; `target` is a path of a unix socket or (host, port)."""

    def __init__(self, name, target):
        self.name, self.target, self.port = name, target, 0
        self.weather, self.tally, self.links = Weather(), Tally(), set()
        self.paid_until = 0.0
        self.server = None

    async def open(self):
        self.server = await asyncio.start_server(self.welcome, "127.0.0.1", 0, limit=PIECE)
        self.port = self.server.sockets[0].getsockname()[1]

    async def connect(self):
        if isinstance(self.target, tuple):
            return await asyncio.open_connection(*self.target, limit=PIECE)
        return await asyncio.open_unix_connection(str(self.target), limit=PIECE)

    async def welcome(self, reader, writer):
        self.tally.connections += 1
        client = (reader, writer)
        if self.weather.refuses:
            self.tally.refused += 1
            Link(self, client, client).reset()
            return
        try:
            service = await self.connect()
        except OSError:
            Link(self, client, client).reset()
            return
        link = Link(self, client, service)
        link.left = self.weather.cut_in
        self.links.add(link)
        try:
            await link.run()
        finally:
            self.links.discard(link)

    async def take(self, reader, is_down):
        """The next piece as the weather lets it through; empty at the end."""
        weather = self.weather
        size = weather.piece
        if is_down and weather.rate:
            size = min(size, max(1, int(weather.rate / 10)))
        piece = await reader.read(size)
        if is_down:
            self.tally.bytes_down += len(piece)
            await self.pay(len(piece))
        if self.weather.holds and piece:
            self.tally.held_pieces += 1
            while self.weather.holds:
                await asyncio.sleep(0.02)
        if self.weather.delay:
            self.tally.slow_pieces += 1
            await asyncio.sleep(self.weather.delay)
        elif self.weather.piece < PIECE:
            self.tally.slow_pieces += 1
            await asyncio.sleep(0)
        return piece

    async def pay(self, size):
        if not self.weather.rate:
            return
        now = time.monotonic()
        self.paid_until = max(self.paid_until, now - 0.2) + size / self.weather.rate
        if self.paid_until > now:
            await asyncio.sleep(self.paid_until - now)

    def reset_some(self, share, seed):
        chance = random.Random(seed)
        chosen = [link for link in list(self.links) if share >= 1 or chance.random() < share]
        for link in chosen:
            link.reset()
        self.tally.resets += len(chosen)
        return len(chosen)

    def deafen(self):
        """All connections of now are half open from now on: neither end is told."""
        for link in self.links:
            link.is_deaf = True
        return len(self.links)

    def reset_deaf(self):
        """As keep-alives do in the end."""
        for link in [link for link in list(self.links) if link.is_deaf]:
            link.reset()

    def cut_all(self, budget):
        for link in self.links:
            link.left = budget
        return len(self.links)


class Proxy:
    """The thread that carries all doors."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda loop, context: None)  # broken connections are the trade
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def open(self, name, target):
        door = Door(name, target)
        asyncio.run_coroutine_threadsafe(door.open(), self.loop).result(10)
        return door

    def call(self, function, *arguments):
        """`function(*arguments)` on the loop's thread; its result."""

        async def run():
            return function(*arguments)

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(30)

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
