"""PostgreSQL and Redis come late, go away in the middle, and come back: nothing is lost."""
import signal

import pytest

from harness.daemon import Setup
from harness.database import Database
from harness.redis_server import RedisServer
from harness.waiting import wait_until

SECONDS = 120


@pytest.fixture
def own_setup(standpipe, folder, own_cluster, start_relay, generated):
    """Services that may be stopped, none of them running yet but the relay."""
    redis = RedisServer(folder / "own-redis")
    setup = Setup(standpipe, folder, redis, Database(own_cluster, "postgres"))
    setup.relay = start_relay(generated.frames, "--rate", 1000)
    yield setup
    setup.stop()
    redis.stop()
    reports = [text for daemon in setup.daemons if (text := daemon.process.sanitizer_report())]
    assert not reports, "a sanitizer reported:\n" + reports[0][-8000:]


def wait_queued(setup, daemon, sequence):
    wait_until(
        lambda: setup.redis.answers() and setup.queued() >= sequence,
        f"queued up to {sequence}",
        SECONDS,
        [daemon.process],
    )


def assert_it_ends_well(setup, daemon, capture):
    setup.wait_drained(capture.last_sequence, SECONDS)
    assert daemon.terminate() == 0
    assert capture.differences(setup.database) == []
    assert setup.database.query("SELECT * FROM standpipe_dead_letters") == []


def test_a_start_without_postgresql_waits_for_it(own_setup, own_cluster, generated):
    own_setup.redis.start()
    daemon = own_setup.run(relay__cursor="oldest")
    wait_until(lambda: "postgres" in daemon.process.text(), "it says what is away", 30, [daemon.process])
    own_cluster.start()
    assert_it_ends_well(own_setup, daemon, generated)


def test_a_start_without_redis_waits_for_it(own_setup, own_cluster, generated):
    own_cluster.start()
    daemon = own_setup.run(relay__cursor="oldest")
    wait_until(lambda: "redis" in daemon.process.text(), "it says what is away", 30, [daemon.process])
    own_setup.redis.start()
    assert_it_ends_well(own_setup, daemon, generated)


def test_a_stop_while_both_are_away_is_clean(own_setup):
    daemon = own_setup.run(relay__cursor="oldest")
    wait_until(lambda: daemon.process.text(), "the first log line", 30, [daemon.process])
    assert daemon.terminate() == 0


def test_postgresql_that_crashes_in_the_middle_loses_nothing(own_setup, own_cluster, generated):
    own_setup.redis.start()
    own_cluster.start()
    daemon = own_setup.run(relay__cursor="oldest")
    wait_queued(own_setup, daemon, generated.last_sequence // 3)
    own_cluster.stop(signal.SIGQUIT)
    wait_queued(own_setup, daemon, generated.last_sequence // 2)
    own_cluster.start()
    assert_it_ends_well(own_setup, daemon, generated)


def test_redis_that_restarts_in_the_middle_loses_nothing(own_setup, own_cluster, generated):
    own_setup.redis.start()
    own_cluster.start()
    daemon = own_setup.run(relay__cursor="oldest")
    wait_queued(own_setup, daemon, generated.last_sequence // 3)
    own_setup.redis.stop()
    own_setup.redis.start()
    assert_it_ends_well(own_setup, daemon, generated)


def test_redis_that_is_killed_in_the_middle_loses_nothing(own_setup, own_cluster, generated):
    own_setup.redis.start()
    own_cluster.start()
    daemon = own_setup.run(relay__cursor="oldest")
    wait_queued(own_setup, daemon, generated.last_sequence // 3)
    own_setup.redis.kill()
    own_setup.redis.start()
    assert_it_ends_well(own_setup, daemon, generated)


def test_redis_that_comes_back_empty_is_filled_again(own_setup, own_cluster, generated):
    own_setup.redis.start()
    own_cluster.start()
    daemon = own_setup.run(relay__cursor="oldest")
    wait_queued(own_setup, daemon, generated.last_sequence // 2)
    own_setup.redis.client.flushall()
    assert_it_ends_well(own_setup, daemon, generated)


def test_sessions_that_are_cut_in_the_middle_lose_nothing(own_setup, own_cluster, generated):
    own_setup.redis.start()
    own_cluster.start()
    daemon = own_setup.run(relay__cursor="oldest")
    for part in (4, 3, 2):
        wait_queued(own_setup, daemon, generated.last_sequence // part)
        own_cluster.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
    assert_it_ends_well(own_setup, daemon, generated)
