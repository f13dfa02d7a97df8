"""Faults of Redis itself."""
import signal
import time

import redis

from fault import Fault, fault
from world import GROUP, STREAM

PATIENCE_SECONDS = 5


class RedisFault(Fault):
    @property
    def server(self):
        return self.world.redis

    @property
    def client(self):
        return self.world.redis.client

    def info(self, section):
        return self.client.info(section)

    def refused(self, error):
        """How often Redis has answered with it."""
        entry = self.info("errorstats").get(f"errorstat_{error}", {})
        if isinstance(entry, dict):
            return int(entry.get("count", 0))
        return int(str(entry).partition("=")[2] or 0)


class StreamFault(RedisFault):
    """Of what is in the stream: waits a little for something to be there."""

    def begin(self):
        end = time.monotonic() + PATIENCE_SECONDS
        while not self.client.exists(STREAM) and time.monotonic() < end:
            time.sleep(0.1)
        self.length = self.client.xlen(STREAM)
        self.take()

    def take(self):
        raise NotImplementedError

    def proof(self):
        return f"{self.length} entries gone" if self.length else None


@fault("Redis is killed", "redis", seconds=(0, 3))
class Kill(RedisFault):
    """kill -9, and it comes back from its append-only file."""

    def begin(self):
        self.pid = self.server.pid
        self.server.kill()

    def end(self):
        self.server.start()

    def proof(self):
        return f"pid {self.pid} ended with -9" if self.server.pid != self.pid else None


@fault("Redis loses the tail of its file", "redis", seconds=(0, 2))
class CutTail(Kill):
    """As the power goes: what was answered in the last moment is not there any more."""

    def begin(self):
        super().begin()
        files = sorted(
            (self.server.folder / "appendonlydir").glob("*.incr.aof"),
            key=lambda path: int(path.name.split(".")[-3]),
        )
        self.cut = 0
        if files:
            size = files[-1].stat().st_size
            self.cut = min(size, self.chance.choice([1, 100, 5_000, 100_000, 1_000_000]))
            with open(files[-1], "r+b") as file:
                file.truncate(size - self.cut)

    def proof(self):
        return f"{self.cut} bytes cut" if self.cut else None


@fault("Redis comes back empty", "redis", seconds=(0, 2))
class Empty(Kill):
    def begin(self):
        super().begin()
        self.files = list((self.server.folder / "appendonlydir").iterdir())
        for path in self.files:
            path.unlink()

    def proof(self):
        return f"{len(self.files)} files removed" if self.files else None


@fault("FLUSHALL", "redis", seconds=(0, 0))
class FlushAll(StreamFault):
    def take(self):
        self.client.flushall()


@fault("the stream is deleted", "redis", seconds=(0, 0))
class DeleteStream(StreamFault):
    breaks_ledger = True  # the counts stay, what they counted is gone

    def take(self):
        self.client.delete(STREAM)


@fault("the group is destroyed", "redis", seconds=(0, 0))
class DestroyGroup(StreamFault):
    breaks_ledger = True  # retained entries are acknowledged a second time

    def take(self):
        self.gone = self.length and self.client.xgroup_destroy(STREAM, GROUP)

    def proof(self):
        return f"{self.length} entries were delivered again" if self.gone else None


@fault("Redis is frozen", "redis", seconds=(2, 6), long=(17, 22))
class Freeze(RedisFault):
    def begin(self):
        self.server.process.send(signal.SIGSTOP)
        time.sleep(0.1)
        with open(f"/proc/{self.server.pid}/stat", encoding="ascii") as stat:
            self.state = stat.read().rsplit(")", 1)[1].split()[0]

    def end(self):
        self.server.process.send(signal.SIGCONT)

    def proof(self):
        return "it was in state T" if self.state == "T" else None


@fault("Redis at maxmemory", "redis", seconds=(3, 6))
class Full(RedisFault):
    """Below what it uses already: no write passes, but what frees memory does."""

    def begin(self):
        self.before = self.refused("OOM")
        self.share = self.chance.choice([0.5, 0.95, 1.02])
        self.client.config_set("maxmemory", int(self.info("memory")["used_memory"] * self.share))

    def end(self):
        self.client.config_set("maxmemory", 0)
        self.after = self.refused("OOM")

    def proof(self):
        refused = self.after - self.before
        return f"{refused} commands refused" if refused or self.share > 1 else None


@fault("Redis forgets its scripts", "redis", seconds=(0, 0))
class ForgetScripts(RedisFault):
    def begin(self):
        self.before = self.refused("NOSCRIPT")
        for _ in range(5):
            self.client.script_flush()
            time.sleep(0.2)

    def proof(self):
        seen = self.refused("NOSCRIPT") - self.before
        return f"{seen} times NOSCRIPT" if seen else None


@fault("Redis becomes a replica", "redis", seconds=(1, 4))
class Replica(RedisFault):
    """READONLY, as after a failover: no writes until somebody says that it is the master."""

    def begin(self):
        self.before = self.refused("READONLY")
        self.client.execute_command("REPLICAOF", "127.0.0.1", "1")

    def has_bitten(self):
        return self.refused("READONLY") > self.before

    def end(self):
        self.client.execute_command("REPLICAOF", "NO", "ONE")
        self.after = self.refused("READONLY")

    def proof(self):
        seen = self.after - self.before
        return f"{seen} commands refused" if seen else None


@fault("Redis' disk is full", "redis", seconds=(3, 6))
class DiskFull(RedisFault):
    """Its append-only file cannot grow: it refuses writes, or it leaves; then it is started again."""

    @classmethod
    def is_possible(cls, world):
        return world.disks["redis"].is_small

    def begin(self):
        self.pid, self.disk = self.server.pid, self.world.disks["redis"]
        self.taken = self.disk.fill()

    def end(self):
        self.status = self.last_write()
        self.disk.relieve()
        if not self.server.process.is_running():
            self.server.start()

    def last_write(self):
        try:
            return self.info("persistence")["aof_last_write_status"]
        except redis.RedisError:
            return "gone"

    def proof(self):
        return f"{self.taken >> 20} MiB taken, last write: {self.status}" if self.status != "ok" else None
