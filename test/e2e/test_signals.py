"""Every signal does what the manual says; SIGHUP has a file of its own (test_reload.py)."""
import re
import signal

import pytest

from harness.waiting import wait_until


@pytest.fixture
def daemon(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames, "--rate", 300)
    assert setup.command("migrate").returncode == 0
    return setup.run(relay__cursor="oldest", shutdown__timeout_ms=20000).wait_running()


def hold(setup, daemon, other):
    """A batch that cannot commit: a drain waits for it."""
    other.execute("BEGIN")
    other.execute("LOCK TABLE repos IN ACCESS EXCLUSIVE MODE")
    setup.wait_held(daemon)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_finishes_what_is_in_flight_and_leaves_with_0(setup, daemon, generated, number):
    with setup.database.connect() as other:
        hold(setup, daemon, other)
        daemon.process.send(number)
        daemon.process.wait_for_line(f"stopping signal={number.name}")
        assert daemon.process.is_running()  # the batch is not done
        other.execute("ROLLBACK")
    assert daemon.process.wait(30) == 0
    assert " stopped" in daemon.process.text().strip().splitlines()[-1]


@pytest.mark.parametrize("first, second", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM)])
def test_the_second_leaves_at_once_and_loses_nothing(setup, daemon, generated, first, second):
    with setup.database.connect() as other:
        hold(setup, daemon, other)
        daemon.process.send(first)
        daemon.process.wait_for_line(" stopping")
        daemon.process.send(second)
        assert daemon.process.wait(30) == 1  # the lock is still held
        assert "second signal, exiting at once" in daemon.process.text()
        other.execute("ROLLBACK")
    again = setup.run()
    setup.wait_drained(generated.last_sequence)
    assert again.terminate() == 0
    assert generated.differences(setup.database) == []


def test_sigusr1_logs_the_state_of_every_worker(setup, daemon, generated):
    daemon.process.send(signal.SIGUSR1)
    daemon.process.wait_for_line(" progress ")
    wait_until(lambda: len(consumers(daemon)) == 4, "two workers, two pipelines each", 30, [daemon.process])
    text = daemon.process.text()
    assert re.search(r"standpipe state state=running .*workers_open=2", text)
    assert re.search(r"ingester state state=\w+ .*queued=\d+ committed=-?\d+", text)
    assert re.search(r"worker-1 pipeline consumer=\S+ state=\S+", text)
    assert daemon.terminate() == 0


def consumers(daemon):
    return set(re.findall(r"worker-\d pipeline consumer=(\S+)", daemon.process.text()))


def test_sigusr1_is_answered_while_it_waits_for_its_schema(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    setup.database = None
    daemon = setup.run(postgres__url="postgresql://127.0.0.1:1/x")
    daemon.process.wait_for_line("schema is not ready")
    daemon.process.send(signal.SIGUSR1)
    daemon.process.wait_for_line("standpipe state state=starting")
    daemon.process.wait_for_line(" progress ")
    over_ms = int(re.search(r" progress over_ms=(\d+)", daemon.process.text())[1])
    assert over_ms < 60000  # of this process, not of the machine
    assert daemon.terminate() == 0


def test_sigpipe_is_ignored(setup, daemon, generated):
    daemon.process.send(signal.SIGPIPE)
    setup.wait_drained(generated.last_sequence)
    assert daemon.terminate() == 0
