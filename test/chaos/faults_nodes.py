"""Faults of standpipe's own processes."""
import signal
import time

from fault import Fault, fault


@fault("standpipe is killed", "node", seconds=(0, 2))
class Kill(Fault):
    """kill -9 at any point; the seed says when, and how long it stays away."""

    def begin(self):
        self.pid = self.node.process.pid
        self.node.kill()

    def end(self):
        self.node.start()

    def proof(self):
        return f"pid {self.pid} ended with -9" if self.node.process.pid != self.pid else None


@fault("standpipe is killed while it starts", "node", seconds=(0, 0))
class KillEarly(Fault):
    """Again and again, within its first moments."""

    def begin(self):
        self.times = 0
        for _ in range(self.chance.randint(3, 6)):
            self.node.kill()
            self.node.start()
            time.sleep(self.chance.uniform(0.01, 0.5))
            self.times += 1

    def proof(self):
        return f"{self.times} times" if self.times else None


@fault("standpipe is stopped with SIGTERM", "node", seconds=(0, 1))
class Terminate(Fault):
    def begin(self):
        self.code = self.node.terminate()

    def end(self):
        self.node.start()

    def proof(self):
        return f"exit code {self.code}" if self.code is not None else None


@fault("standpipe is frozen", "node", seconds=(3, 8), long=(38, 44))
class Freeze(Fault):
    """SIGSTOP for longer than the lease and the claim; when it wakes, others have its work."""

    def begin(self):
        self.pid = self.node.process.pid
        self.node.process.send(signal.SIGSTOP)
        time.sleep(0.1)
        with open(f"/proc/{self.pid}/stat", encoding="ascii", errors="replace") as stat:
            self.state = stat.read().rsplit(")", 1)[1].split()[0]

    def end(self):
        self.node.process.send(signal.SIGCONT)

    def proof(self):
        return f"pid {self.pid} was in state T" if self.state == "T" else None


@fault("SIGHUP storm", "node", seconds=(0, 0))
class Storm(Fault):
    """Hundreds of SIGHUP and SIGUSR1: neither may end it or block its work."""

    def begin(self):
        self.sent = 0
        for _ in range(300):
            for number in (signal.SIGHUP, signal.SIGUSR1):
                self.node.process.send(number)
                self.sent += 1
            time.sleep(0.005)

    def proof(self):
        text = self.node.process.text()
        return f"{self.sent} signals" if "SIGHUP" in text or "reload" in text else None


@fault("the clock steps", "clock", seconds=(3, 6))
class Clock(Fault):
    """The wall clock of one process jumps hours back or days ahead, and comes back."""

    @classmethod
    def is_possible(cls, world):
        return world.nodes["two"].clock is not None

    def begin(self):
        self.node = self.world.nodes["two"]
        self.step = self.chance.choice([-86400, -3600, -61, 61, 3600, 10 * 86400])
        self.node.step_clock(self.step)

    def end(self):
        self.node.step_clock(0)

    def proof(self):
        return f"{self.step:+d} s"
