"""Stopping while PostgreSQL holds everything up: in time, clean, and the rest is written after the next start."""
import contextlib
import os
import signal
import time

import pytest

from harness.daemon import Setup
from harness.database import Database
from harness.redis_server import RedisServer
from harness.waiting import wait_until

TIMEOUT_MS = 3000
STARTUP_SECONDS = 2  # of a sanitized process' end, on top
BLOCKED = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'repos'::regclass"


@pytest.fixture
def held(standpipe, folder, own_cluster, start_relay, generated):
    """Services of its own, under a relay that stays busy while the test lasts."""
    own_cluster.start()
    redis = RedisServer(folder / "own-redis").start()
    setup = Setup(standpipe, folder, redis, Database(own_cluster, "postgres"))
    setup.relay = start_relay(generated.frames, "--rate", 300)
    assert setup.command("migrate").returncode == 0
    yield setup
    setup.stop()
    redis.stop()
    reports = [text for daemon in setup.daemons if (text := daemon.process.sanitizer_report())]
    assert not reports, "a sanitizer reported:\n" + reports[0][-8000:]


def send(pids, number):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def run_until_third(setup, capture):
    daemon = setup.run(relay__cursor="oldest", shutdown__timeout_ms=TIMEOUT_MS)
    wait_until(
        lambda: setup.queued() >= capture.last_sequence // 3,
        lambda: f"a third is queued ({setup.progress()})",
        60,
        [daemon.process],
    )
    return daemon


def wait_pending(setup, daemon):
    wait_until(lambda: setup.progress()[3] > 0, "entries are pending", 30, [daemon.process])


def assert_it_stops_in_time(daemon):
    begin = time.monotonic()
    code = daemon.process.stop(signal.SIGTERM, 30)
    took = time.monotonic() - begin
    assert code == 0, daemon.process.text()[-4000:]
    assert took < TIMEOUT_MS / 1000 + STARTUP_SECONDS
    assert daemon.process.sanitizer_report() is None
    assert " stopped" in daemon.process.text().strip().splitlines()[-1]


def assert_the_next_start_writes_the_rest(setup, capture):
    daemon = setup.run()
    setup.wait_drained(capture.last_sequence)
    assert daemon.terminate() == 0
    assert capture.differences(setup.database) == []
    assert setup.database.query("SELECT * FROM standpipe_dead_letters") == []


@pytest.mark.parametrize("attempt", range(3))
def test_a_stop_while_another_session_locks_a_table_is_clean(held, own_cluster, generated, attempt):
    daemon = run_until_third(held, generated)
    with own_cluster.connect() as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE repos IN ACCESS EXCLUSIVE MODE")
        wait_until(lambda: own_cluster.execute(BLOCKED)[0][0] > 0, "a batch waits for the lock", 30)
        wait_pending(held, daemon)
        assert_it_stops_in_time(daemon)
    assert_the_next_start_writes_the_rest(held, generated)


@pytest.mark.parametrize("attempt", range(3))
def test_a_stop_while_postgresql_is_stopped_is_clean(held, own_cluster, generated, attempt):
    daemon = run_until_third(held, generated)
    own_cluster.stop()
    wait_pending(held, daemon)
    assert_it_stops_in_time(daemon)
    own_cluster.start()
    assert_the_next_start_writes_the_rest(held, generated)


def test_a_stop_while_postgresql_answers_nobody_is_clean(held, own_cluster, generated):
    """Frozen: its connections stay up and say nothing."""
    daemon = run_until_third(held, generated)
    backends = own_cluster.execute("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    pids = [own_cluster.pid, *(pid for (pid,) in backends)]
    send(pids, signal.SIGSTOP)
    try:
        wait_pending(held, daemon)
        assert_it_stops_in_time(daemon)
    finally:
        send(pids, signal.SIGCONT)
    assert_the_next_start_writes_the_rest(held, generated)
