"""Everything that runs: relay, Redis, PostgreSQL, the nodes, and the doors between them.

    relay --door--> node --door--> Redis
                         --door--> PostgreSQL

Only processes that were started here are signalled, by their pid. The relay tells as fast as it is
read; its doors hold the load to `rate` events a second, so a relay that starts again needs no memory.
"""
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil

from harness.database import Database
from harness.journal import start_journal
from harness.postgres import PostgresCluster
from harness.process import clean_environment, is_sanitized
from harness.redis_server import RedisServer
from harness.relay import Relay
from harness.waiting import wait_until
from node import Node
from proxy import Proxy, Weather

STREAM, GROUP, DEAD_LETTERS = "firehose:events", "firehose-processors", "firehose:dead-letters"
THREADS, PIPELINES, CONNECTIONS = 2, 2, 4
SETTINGS = {
    "ingest.lease_ms": 1000,
    "relay.idle_timeout_ms": 2000,
    "stream.max_length": 5000,
    "stream.max_backlog": 20000,
    "workers.threads": THREADS,
    "workers.pipelines": PIPELINES,
    "workers.batch_size": 100,
    "workers.claim_interval_ms": 500,
    "workers.claim_min_idle_ms": 2000,
    "postgres.tombstone_age_ms": 3000,
    "postgres.connections": CONNECTIONS,
    "shutdown.timeout_ms": 25000,
}
POSTGRES_SETTINGS = {
    "max_connections": "40",
    "wal_writer_delay": "10s",  # what was not flushed by its own commit is lost in a crash
    "max_wal_size": "128MB",
    "restart_after_crash": "on",
}
NODES = ("one", "two", "three")  # three only works; two lives under a clock of its own
DISK_BYTES = 500 * 1024 * 1024  # and three times the history


class Disk:
    """A small tmpfs, where the system lets us; else a folder that is never full."""

    def __init__(self, folder, size):
        self.folder, self.filler = folder, folder / "filler"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "none", str(folder)]
        self.is_small = os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0

    def fill(self):
        """To the last byte. Returns how many it took."""
        piece, size = bytes(1 << 20), 0
        with open(self.filler, "wb", buffering=0) as file:
            while len(piece) > 0:
                try:
                    size += file.write(piece)
                except OSError:
                    piece = piece[: len(piece) // 2]
        return size

    def relieve(self):
        self.filler.unlink(missing_ok=True)

    def close(self):
        if self.is_small:
            subprocess.run(["umount", "-l", str(self.folder)], capture_output=True)


class World:
    def __init__(self, program, relay_program, folder, history, rate, settings=None):
        self.program, self.relay_program = program, relay_program
        self.folder, self.history, self.rate = folder, history, rate
        self.settings = {**SETTINGS, **(settings or {})}
        self.is_sanitized = is_sanitized(program)
        self.proxy = Proxy()
        size = DISK_BYTES + 3 * history.bytes
        self.disks = {name: Disk(folder / f"{name}-disk", size) for name in ("redis", "postgres")}
        self.redis = RedisServer(self.disks["redis"].folder / "redis", ["--auto-aof-rewrite-min-size", "32mb"])
        self.cluster = PostgresCluster(self.disks["postgres"].folder / "pg", POSTGRES_SETTINGS)
        self.database = Database(self.cluster, "postgres")
        self.relay, self.relay_told = None, {}
        self.nodes = {name: Node(self, name, {}, name == "two") for name in NODES}
        self.nodes["three"].settings["ingest.mode"] = "never"

    # --- starting ---

    def start(self):
        self.redis.start()
        self.cluster.initdb().start()
        self.start_relay()
        targets = {
            "redis": self.redis.socket,
            "postgres": self.cluster.folder / ".s.PGSQL.5432",
            "relay": ("127.0.0.1", self.relay.port),
        }
        for node in self.nodes.values():
            for service, target in targets.items():
                node.doors[service] = self.proxy.open(f"{node.name}.{service}", target)
        self.clear_weather()
        self.migrate()
        # The relay's name is the door's, so both ingesters must see the same host and port.
        self.nodes["two"].doors["relay"] = self.nodes["one"].doors["relay"]
        self.nodes["one"].start(**{"relay.cursor": "oldest"})
        self.wait(lambda: self.queued() > 0, "the first events are in the stream", 60)
        self.nodes["two"].start()
        self.nodes["three"].start()

    def command(self, *words):
        """A command of standpipe on this PostgreSQL; the finished process."""
        command = [self.program, *words, "--set", f"postgres.url={self.database.conninfo}"]
        return subprocess.run(command, capture_output=True, text=True, env=clean_environment())

    def migrate(self):
        done = self.command("migrate")
        assert done.returncode == 0, done.stderr
        start_journal(self.database)
        self.database.query(self.history.constraint())

    def start_relay(self, *arguments):
        port = self.relay.port if self.relay else None
        seed = len(self.relay_told) + int(time.monotonic())
        arguments = ["--file", self.history.frames, "--seed", seed, *arguments]
        self.relay = Relay(self.relay_program, self.folder, *arguments, port=port)
        self.relay.start()

    def stop_relay(self):
        """Asks it, so that it tells what it did: its counters are added to `relay_told`."""
        try:
            for name, count in self.relay.counters().items():
                if isinstance(count, (int, float)):
                    self.relay_told[name] = self.relay_told.get(name, 0) + count
        except (ValueError, IndexError):
            pass  # it was killed before it could tell

    # --- the line ---

    def doors(self, service):
        return list({id(node.doors[service]): node.doors[service] for node in self.nodes.values()}.values())

    def good_weather(self, service):
        rate = self.rate * self.history.event_bytes if service == "relay" and self.rate else 0.0
        return Weather(rate=rate)

    def clear_weather(self):
        for service in ("redis", "postgres", "relay"):
            for door in self.doors(service):
                door.weather = self.good_weather(service)

    # --- looking ---

    def wait(self, fact, what, seconds):
        watched = [node.process for node in self.nodes.values() if node.is_wanted]
        return wait_until(fact, what, seconds, watched)

    def queued(self):
        return int(self.redis.client.hget(f"{STREAM}:meta", "queued") or 0)

    def progress(self):
        """(queued, last ID, delivered, pending) of the stream."""
        client = self.redis.client
        if not client.exists(STREAM):
            return 0, b"0-0", b"0-0", 0
        last = client.xinfo_stream(STREAM)["last-generated-id"]
        for group in client.xinfo_groups(STREAM):
            if group["name"] == GROUP.encode():
                return self.queued(), last, group["last-delivered-id"], group["pending"]
        return self.queued(), last, b"0-0", 0

    def marks(self):
        return self.database.query("SELECT host, epoch, queued, committed FROM standpipe_cursor ORDER BY epoch")

    def postgres_pids(self):
        """The postmaster and all that it forked."""
        if self.cluster.process is None:
            return []
        try:
            parent = psutil.Process(self.cluster.pid)
            return [child.pid for child in parent.children(recursive=True)] + [parent.pid]
        except psutil.NoSuchProcess:
            return []

    def start_postgres(self, seconds=60):
        """After a crash orphans may hold its memory for a moment: tried until it stands."""
        end = time.monotonic() + seconds
        while True:
            if self.cluster.process.is_running():
                self.cluster.process.stop(signal.SIGQUIT)
            try:
                return self.cluster.start()
            except AssertionError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)

    # --- the end ---

    def thaw(self):
        """A frozen process cannot be asked to end."""
        started = [self.redis.process, self.relay and self.relay.process]
        for process in started + [node.process for node in self.nodes.values()]:
            if process is not None:
                process.send(signal.SIGCONT)
        for pid in self.postgres_pids():
            os.kill(pid, signal.SIGCONT)

    def stop(self):
        self.thaw()
        for node in self.nodes.values():
            if node.is_running():
                node.is_wanted = False
                node.process.kill()
        for stop in (self.stop_relay, self.redis.stop, self.cluster.stop, self.proxy.close):
            try:
                stop()
            except (AssertionError, OSError, ValueError, AttributeError) as error:
                print(f"chaos: while stopping: {error}")

    def close_disks(self):
        """What is worth keeping of them is copied out by then."""
        for name, disk in self.disks.items():
            for log in disk.folder.rglob("*.log"):
                shutil.copy(log, self.folder / f"{name}-{log.name}")
            disk.close()


def find_program(name, root):
    build = Path(os.environ.get("STANDPIPE_BUILD", root / "build" / "release"))
    found = [path for path in build.rglob(name) if path.is_file() and os.access(path, os.X_OK)]
    if not found:
        why = f"{name} is not built under {build}: run `./dev chaos`, or set STANDPIPE_BUILD"
        raise SystemExit(f"standpipe: chaos: {why}")
    return found[0]
