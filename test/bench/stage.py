"""The stage of a bench: private PostgreSQL (fsync on), Redis, test relay and a release standpipe."""
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test" / "e2e"))

from harness.daemon import Setup  # noqa: E402
from harness.database import Database  # noqa: E402
from harness.postgres import PostgresCluster  # noqa: E402
from harness.process import clean_environment  # noqa: E402
from harness.redis_server import RedisServer  # noqa: E402
from harness.relay import Relay  # noqa: E402
from harness.tls import Certificate  # noqa: E402

POSTGRES = {
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "track_commit_timestamp": "on",  # what `latency` reads
}
SETTINGS = {"workers.consumer_id": "bench"}


def build():
    """The folder with release programs, built where STANDPIPE_BUILD names none."""
    if os.environ.get("STANDPIPE_BUILD"):
        return Path(os.environ["STANDPIPE_BUILD"])
    folder = ROOT / "build" / "release"
    configure = ["cmake", "-G", "Ninja", "-S", ROOT, "-B", folder, "-DCMAKE_BUILD_TYPE=Release"]
    for command in (configure, ["ninja", "-C", folder, "standpipe", "standpipe-relay"]):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder


def program(folder, name):
    return next(path for path in folder.rglob(name) if path.is_file() and os.access(path, os.X_OK))


class Stage:
    """One bench's services; `fresh()` empties them between runs."""

    def __init__(self, repos=0):
        folder = build()
        self.repos = repos
        self.standpipe, self.relay_program = program(folder, "standpipe"), program(folder, "standpipe-relay")
        self.folder = Path(tempfile.mkdtemp(prefix="standpipe-bench-", dir=os.environ.get("TMPDIR")))
        self.folder.chmod(0o755)
        self.cluster = self.redis = self.relay = self.setup = self.authority = None
        self.runs = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.clear()
        if self.cluster:
            self.cluster.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def frames(self, count):
        """A file of generated frames, made once."""
        path = self.folder / f"{count}.bin"
        if not path.exists():
            command = [self.relay_program, "--generate", count, "--repos", self.repos, "--write", path]
            subprocess.run(list(map(str, command)), check=True, env=clean_environment(), capture_output=True)
        return path

    def clear(self):
        for thing in (self.setup, self.relay, self.redis):
            if thing:
                thing.stop()
        self.setup = self.relay = self.redis = None

    def certificate(self):
        """Of the relay, for wss; made once."""
        if not self.authority:
            self.authority = Certificate(self.folder)
        return self.authority

    def fresh(self, *relay_arguments, settings=(), tls=None):
        """Empty Redis, an empty migrated database, a relay that was told `relay_arguments`."""
        self.clear()
        if not self.cluster:
            self.cluster = PostgresCluster(self.folder / "pg", POSTGRES).initdb().start()
        # One database at a time: autovacuum would work on those of the runs before, while this one is measured.
        if self.runs:
            self.cluster.drop_database(f"bench_{self.runs}")
        self.runs += 1
        name = f"bench_{self.runs}"
        self.cluster.create_database(name)
        self.redis = RedisServer(self.folder / f"redis-{self.runs}").start()
        self.relay = Relay(self.relay_program, self.folder, *relay_arguments, tls=tls).start()
        self.setup = Setup(self.standpipe, self.folder, self.redis, Database(self.cluster, name), self.relay)
        self.setup.settings = {**SETTINGS, **dict(settings)}
        done = self.setup.command("migrate")
        assert done.returncode == 0, done.stderr
        return self.setup

    def processes(self, daemon):
        return {"standpipe": daemon.pid, "redis": self.redis.pid, "postgresql": self.cluster.pid}


def wait_queued(setup, daemon, sequence, seconds=180):
    """The queued mark is polled every 5 ms; returns when it was seen."""
    end = time.monotonic() + seconds
    while setup.queued() < sequence:
        daemon.process.check_alive()
        assert time.monotonic() < end, f"queued {setup.queued()} of {sequence} after {seconds} s"
        time.sleep(0.005)
    return time.monotonic()
