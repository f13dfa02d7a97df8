"""Fixtures: private services, frames with their truth, and standpipe itself.

    frames, truth --relay--> standpipe --redis--> standpipe --> database

A failed test prints the logs of what ran; a sanitizer's report in any of them is a failure.
"""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))

from capture import Capture  # noqa: E402
from harness.daemon import Setup  # noqa: E402
from harness.database import Database  # noqa: E402
from harness.process import clean_environment  # noqa: E402
from harness.postgres import PostgresCluster  # noqa: E402
from harness.redis_server import RedisServer  # noqa: E402
from harness.relay import Relay, generate  # noqa: E402
from harness.tls import Certificate  # noqa: E402

TAIL_BYTES = 6000


def find_program(name):
    build = Path(os.environ.get("STANDPIPE_BUILD", ROOT / "build" / "test"))
    found = [path for path in build.rglob(name) if path.is_file() and os.access(path, os.X_OK)]
    if not found:
        pytest.exit(f"{name} is not built under {build}: run `./dev test`, or set STANDPIPE_BUILD", 2)
    return found[0]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Remembers on the item whether it failed, for the fixture that prints the logs."""
    outcome = yield
    if outcome.get_result().failed:
        item.has_failed = True


@pytest.fixture(scope="session")
def standpipe():
    return find_program("standpipe")


@pytest.fixture(scope="session")
def relay_program():
    return find_program("standpipe-relay")


@pytest.fixture(scope="session")
def session_folder():
    """Short, because the paths of unix sockets are; open to the user that runs PostgreSQL."""
    folder = Path(tempfile.mkdtemp(prefix="standpipe-e2e-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def empty_cluster(session_folder):
    """Initialised and never started: the mould of the others."""
    return PostgresCluster(session_folder / "pg0").initdb()


@pytest.fixture(scope="session")
def cluster(session_folder, empty_cluster):
    cluster = PostgresCluster(session_folder / "pg", {"fsync": "off"}).copy_from(empty_cluster).start()
    yield cluster
    cluster.stop()


@pytest.fixture
def folder(request, session_folder):
    """One test's files; printed where it failed."""
    path = Path(tempfile.mkdtemp(prefix="t", dir=session_folder))
    path.chmod(0o755)
    yield path
    if getattr(request.node, "has_failed", False):
        print_logs(path)
    shutil.rmtree(path, ignore_errors=True)


def print_logs(folder):
    for log in sorted(folder.rglob("*.log")):
        text = log.read_text(errors="replace")
        print(f"\n--- {log.name} (last {TAIL_BYTES} bytes)\n{text[-TAIL_BYTES:]}")


@pytest.fixture
def database(cluster, folder):
    name = f"test_{folder.name.lower()}"
    cluster.create_database(name)
    yield Database(cluster, name)
    cluster.drop_database(name)


@pytest.fixture
def own_cluster(folder, empty_cluster):
    """A cluster that the test may stop and start; not running yet."""
    cluster = PostgresCluster(folder / "pg").copy_from(empty_cluster)
    yield cluster
    cluster.stop()


@pytest.fixture
def redis(folder):
    server = RedisServer(folder / "redis").start()
    yield server
    server.stop()


@pytest.fixture
def certificate(folder):
    return Certificate(folder)


@pytest.fixture
def start_relay(relay_program, folder):
    """start_relay(frames, "--rate", 100, port=..., tls=...) -> a running Relay; with later=True the test starts it."""
    started = []

    def start(frames, *arguments, later=False, **options):
        relay = Relay(relay_program, folder, "--file", frames, *arguments, **options)
        started.append(relay)
        return relay if later else relay.start()

    yield start
    for relay in started:
        relay.stop()


@pytest.fixture
def endless_relay(relay_program, folder):
    """300 generated events a second, for as long as the test lasts."""
    relay = Relay(relay_program, folder, "--generate", 0, "--rate", 300, "--base-time", 0).start()
    yield relay
    relay.stop()


@pytest.fixture
def setup(standpipe, folder, redis, database):
    """Services of one test without a relay; the test sets `setup.relay`."""
    setup = Setup(standpipe, folder, redis, database)
    yield setup
    setup.stop()
    reports = [text for daemon in setup.daemons if (text := daemon.process.sanitizer_report())]
    assert not reports, "a sanitizer reported:\n" + reports[0][-8000:]


@pytest.fixture(scope="session")
def generated(relay_program, session_folder):
    """2,000 generated frames: every kind of event, edits, deletions, account changes."""
    return Capture(*generate(relay_program, session_folder, 2000, 7))


@pytest.fixture(scope="session")
def real_capture():
    """Frames of a real server with what it answered afterwards, where there are some."""
    folder = os.environ.get("STANDPIPE_CAPTURES")
    if not folder:
        pytest.skip("STANDPIPE_CAPTURES is not set: no real capture (pds.live.bin, pds.truth.jsonl)")
    capture = Path(folder) / "pds.live.bin"
    if not capture.exists():
        pytest.skip(f"STANDPIPE_CAPTURES has no {capture.name}")
    return Capture(capture, Path(folder) / "pds.truth.jsonl")


@pytest.fixture(params=["generated", "real_capture"])
def capture(request):
    """Both of the above, one after the other."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def decode(standpipe):
    """decode(path) -> the lines of `standpipe decode`."""

    def run(path):
        command = [standpipe, "decode", path]
        done = subprocess.run(command, capture_output=True, timeout=120, env=clean_environment())
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().split("\n")[:-1]  # lines may hold U+2028

    return run


@pytest.fixture
def describe(setup, folder):
    """describe(text): from here on that is the description of the typed tables."""

    def write(text):
        path = folder / "tables.conf"
        path.write_text(text)
        setup.settings["postgres.tables_file"] = str(path)

    return write
