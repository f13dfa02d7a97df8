"""A daemon of today with its services and an endless relay, for as long as pictures are taken."""
import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test" / "e2e"))

from harness.daemon import Setup  # noqa: E402
from harness.database import Database  # noqa: E402
from harness.postgres import PostgresCluster  # noqa: E402
from harness.redis_server import RedisServer  # noqa: E402
from harness.relay import Relay  # noqa: E402

BUILD = Path(os.environ.get("STANDPIPE_BUILD", ROOT / "build" / "test"))
RATE = 400


def program(name):
    return next(path for path in BUILD.rglob(name) if path.is_file() and os.access(path, os.X_OK))


@contextlib.contextmanager
def playground(rate=RATE, **settings):
    """Yields a running daemon (harness.daemon.Daemon); `.setup` has its services, `settings` are as Setup.run() has them."""
    # Its events are of now, so that lag means what it says.
    arguments = ["--generate", 0, "--rate", rate, "--base-time", 0, "--repos", 200]
    folder = Path(tempfile.mkdtemp(prefix="standpipe-pictures-"))
    folder.chmod(0o755)
    cluster = PostgresCluster(folder / "pg", {"fsync": "off"}).initdb().start()
    cluster.create_database("pictures")
    redis = RedisServer(folder / "redis").start()
    relay = Relay(program("standpipe-relay"), folder, *arguments).start()
    setup = Setup(program("standpipe"), folder, redis, Database(cluster, "pictures"), relay)
    try:
        yield setup.run(relay__cursor="oldest", **settings).wait_ready()
    finally:
        setup.stop()
        relay.stop()
        redis.stop()
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
