"""Stopping at any moment and starting again: the same end, and nothing written twice."""
import random
import signal

import pytest

from harness.journal import start_journal, writes, written_twice
from harness.waiting import wait_until

RESTARTS = 20
DRAIN_SECONDS = 25
LEASE = "firehose:events:lease"
PER_SECOND = 150  # slow enough that every stop falls into the stream


def migrate(setup):
    done = setup.command("migrate")
    assert done.returncode == 0, done.stderr
    start_journal(setup.database)


def moments(capture, seed):
    """Sequences at which to stop: seeded, rising, spread over the whole capture."""
    return sorted(random.Random(seed).sample(range(1, capture.last_sequence), RESTARTS))


def wait_queued(setup, daemon, sequence):
    """Also that the daemon has come as far as to log: before, a signal ends any program as it is."""
    wait_until(lambda: daemon.process.text(), "the first log line", 30, [daemon.process])
    wait_until(
        lambda: setup.queued() >= sequence,
        lambda: f"queued up to {sequence} ({setup.progress()})",
        60,
        [daemon.process],
    )


def assert_the_end_is_right(setup, capture):
    assert capture.differences(setup.database) == []
    assert written_twice(setup.database) == []
    assert writes(setup.database) >= len(capture.truth().live())


@pytest.mark.parametrize("seed", [1, 2])
def test_twenty_sigterms_at_any_moment_end_as_the_truth(setup, start_relay, generated, seed):
    setup.relay = start_relay(generated.frames, "--rate", PER_SECOND)
    migrate(setup)
    for moment in moments(generated, seed):
        daemon = setup.run(relay__cursor="oldest" if not setup.queued() else "saved")
        wait_queued(setup, daemon, moment)
        assert daemon.terminate(DRAIN_SECONDS) == 0
    daemon = setup.run()
    setup.wait_drained(generated.last_sequence)
    assert daemon.terminate(DRAIN_SECONDS) == 0
    assert_the_end_is_right(setup, generated)


@pytest.mark.parametrize("seed", [3])
def test_twenty_kills_at_any_moment_end_as_the_truth(setup, start_relay, generated, seed):
    setup.relay = start_relay(generated.frames, "--rate", PER_SECOND)
    migrate(setup)
    for moment in moments(generated, seed):
        daemon = setup.run(relay__cursor="oldest" if not setup.queued() else "saved")
        wait_queued(setup, daemon, moment)
        daemon.kill()
    daemon = setup.run()
    setup.wait_drained(generated.last_sequence)
    assert daemon.terminate(DRAIN_SECONDS) == 0
    assert_the_end_is_right(setup, generated)


def test_a_drain_leaves_nothing_pending_and_no_consumer(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames, "--rate", 4000)
    daemon = setup.run(relay__cursor="oldest")
    wait_queued(setup, daemon, generated.last_sequence // 2)
    assert daemon.terminate(DRAIN_SECONDS) == 0
    assert setup.progress()[3] == 0
    assert setup.redis.client.xinfo_consumers("firehose:events", "firehose-processors") == []


def test_sigint_ends_it_like_sigterm(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    daemon = setup.run(relay__cursor="oldest")
    setup.wait_drained(generated.last_sequence)
    assert daemon.process.stop(2, DRAIN_SECONDS) == 0


def test_a_start_that_is_stopped_at_once_ends_clean(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    daemon = setup.run(relay__cursor="oldest")
    wait_until(lambda: daemon.process.text(), "the first log line", 30, [daemon.process])
    assert daemon.terminate(DRAIN_SECONDS) == 0


def test_a_process_that_slept_through_its_lease_ingests_again(setup, start_relay, generated):
    """Lost and taken again before the relay's connection was closed: the writer of before must not stay."""
    setup.relay = start_relay(generated.frames, "--rate", PER_SECOND)
    migrate(setup)
    daemon = setup.run(relay__cursor="oldest")
    for moment in moments(generated, 4)[:6]:
        wait_queued(setup, daemon, moment)
        daemon.process.send(signal.SIGSTOP)
        wait_until(lambda: not setup.stream().exists(LEASE), "the lease to run out", 30)
        setup.relay.process.send(signal.SIGSTOP)  # so that the goodbye takes its time
        daemon.process.send(signal.SIGCONT)
        wait_until(lambda: setup.stream().exists(LEASE), "the lease to be taken again", 30)
        setup.relay.process.send(signal.SIGCONT)
    setup.wait_drained(generated.last_sequence)
    assert daemon.terminate(DRAIN_SECONDS) == 0
    assert_the_end_is_right(setup, generated)
