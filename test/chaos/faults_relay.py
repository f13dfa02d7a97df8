"""Faults of the relay: it is started again with other manners, and later as an honest one."""
import signal
import time

from fault import Fault, fault


class Manners(Fault):
    arguments, counter = (), ""

    def begin(self):
        self.world.stop_relay()
        self.world.start_relay(*self.arguments)
        self.carried = self.bytes_down()

    def bytes_down(self):
        return sum(door.tally.bytes_down for door in self.world.doors("relay"))

    def has_bitten(self):
        """A connection was made and so much was told that it must have come to it."""
        return self.bytes_down() - self.carried > ENOUGH_FRAMES * self.world.history.event_bytes

    def end(self):
        before = self.world.relay_told.get(self.counter, 0)
        self.world.stop_relay()
        self.seen = self.world.relay_told.get(self.counter, 0) - before
        self.world.start_relay()

    def proof(self):
        return f"{self.seen} {self.counter}" if self.seen else None


ENOUGH_FRAMES = 200
MANNERS = {
    "the relay drops its connections": (("--drop-after", 150), "drops"),
    "the relay resets its connections": (("--reset-after", 150), "resets"),
    "the relay falls silent": (("--stall-after", 150), "stalls"),
    "the relay sends half a frame": (("--half-frame-after", 150), "half_frames"),
    "the relay sends frames twice": (("--duplicate", 300), "duplicates"),
    "the relay goes back": (("--reconnect-replay", 120, "--drop-after", 190), "drops"),
    "the relay starts at the cursor itself": (("--cursor-inclusive", "--drop-after", 150), "drops"),
    "the relay sends garbage between": (("--garbage", 30), "garbage"),
    "the relay sends text between": (("--text-frames=20",), "texts"),
    "the relay says that we are too slow": (
        ("--error-frame", "ConsumerTooSlow", "--error-after", 150),
        "error_frames",
    ),
    "the relay floods with pings": (("--ping-flood=3",), "pings"),
    "the relay writes single bytes": (("--slow-bytes",), "frames"),
}

for name, (arguments, counter) in MANNERS.items():
    kind = type("Manners", (Manners,), {"arguments": arguments, "counter": counter})
    fault(name, "relay", seconds=(4, 7))(kind)


@fault("the relay is killed", "relay", seconds=(0, 3))
class Kill(Fault):
    def begin(self):
        self.pid = self.world.relay.process.pid
        self.world.relay.process.kill()

    def end(self):
        self.world.start_relay()

    def proof(self):
        return f"pid {self.pid}" if self.world.relay.process.pid != self.pid else None


@fault("the relay is frozen", "relay", seconds=(4, 7))
class Freeze(Fault):
    """For longer than the idle timeout and its ping."""

    def begin(self):
        self.world.relay.process.send(signal.SIGSTOP)
        time.sleep(0.1)
        with open(f"/proc/{self.world.relay.process.pid}/stat", encoding="ascii") as stat:
            self.state = stat.read().rsplit(")", 1)[1].split()[0]

    def end(self):
        self.world.relay.process.send(signal.SIGCONT)

    def proof(self):
        return "it was in state T" if self.state == "T" else None
