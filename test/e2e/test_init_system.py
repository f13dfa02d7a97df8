"""systemd's notify protocol, heard on a socket of our own, and the unit that is shipped."""
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.notify import NotifySocket
from harness.process import free_port, is_sanitized
from harness.thread import stopped, threads
from harness.waiting import wait_until

UNIT = Path(__file__).resolve().parents[2] / "conf" / "systemd" / "standpipe.service"
FILTERED = Path(__file__).resolve().parent / "harness" / "filtered.py"
EXPOSURE_MAX = 2.5


@pytest.fixture(params=["path", "abstract"])
def init_system(request, folder):
    name = folder / "notify" if request.param == "path" else f"@standpipe-test-{folder.name}"
    heard = NotifySocket(name)
    yield heard
    heard.close()


@pytest.fixture
def abstract(folder):
    heard = NotifySocket(f"@standpipe-test-{folder.name}")
    yield heard
    heard.close()


def start(setup, heard, name="standpipe", more=None, **overrides):
    return setup.run_from_file(name, environment=heard.environment(**(more or {})), **overrides)


def test_ready_comes_when_the_relay_is_read(setup, start_relay, generated, init_system):
    setup.relay = start_relay(generated.frames)
    daemon = start(setup, init_system, relay__cursor="oldest")
    init_system.wait_for("READY", "1", watched=[daemon.process])
    assert "ingesting" in init_system.last("STATUS") or "connecting" in init_system.last("STATUS")
    setup.wait_drained(generated.last_sequence)
    assert daemon.terminate() == 0
    assert init_system.count("READY") == 1
    assert init_system.count("STOPPING", "1") == 1
    assert "draining" in init_system.last("STATUS")


def test_ready_comes_where_another_process_ingests(setup, start_relay, generated, abstract, folder):
    setup.relay = start_relay(generated.frames)
    first = setup.run("first", relay__cursor="oldest").wait_ready()
    second = start(setup, abstract, "second")
    abstract.wait_for("READY", "1", watched=[second.process])
    wait_until(lambda: "standing by" in (abstract.last("STATUS") or ""), "it stands by", 30)
    assert first.terminate() == 0
    wait_until(lambda: "ingesting" in abstract.read()[-1].get("STATUS", ""), "it takes over", 30)
    assert second.terminate() == 0


def test_until_the_schema_is_there_more_time_is_asked_for(setup, start_relay, generated, abstract, database):
    setup.relay = start_relay(generated.frames)
    setup.database = None
    daemon = start(setup, abstract, postgres__url="postgresql://127.0.0.1:1/x")
    abstract.wait_for("EXTEND_TIMEOUT_USEC", more_than=2, watched=[daemon.process])
    assert abstract.count("READY") == 0
    assert "waiting for PostgreSQL" in abstract.last("STATUS")
    daemon.reload(postgres__url=database.conninfo)
    abstract.wait_for("READY", "1", watched=[daemon.process])
    setup.database = database
    assert daemon.terminate() == 0


def test_a_reload_is_told_with_its_beginning_and_its_end(setup, start_relay, generated, abstract):
    setup.relay = start_relay(generated.frames)
    daemon = start(setup, abstract, relay__cursor="oldest")
    abstract.wait_for("READY", "1", watched=[daemon.process])
    before = len(abstract.read())
    daemon.reload(workers__batch_size=100)
    abstract.wait_for("READY", "1", more_than=1)
    told = [message for message in abstract.read()[before:] if {"RELOADING", "READY"} & set(message)]
    assert [sorted(set(message) & {"RELOADING", "READY"}) for message in told] == [["RELOADING"], ["READY"]]
    assert int(told[0]["MONOTONIC_USEC"]) > 0
    daemon.reload(workers__batch_size=0)
    abstract.wait_for("READY", "1", more_than=2)
    assert abstract.count("RELOADING") == 2
    assert any("reload refused" in message.get("STATUS", "") for message in abstract.read())
    assert daemon.terminate() == 0


def test_a_drain_asks_for_more_time(setup, endless_relay, abstract):
    setup.relay = endless_relay
    assert setup.command("migrate").returncode == 0
    daemon = start(setup, abstract, relay__cursor="oldest", shutdown__timeout_ms=20000)
    abstract.wait_for("READY", "1", watched=[daemon.process])
    with setup.database.connect() as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE repos IN ACCESS EXCLUSIVE MODE")
        setup.wait_held(daemon)
        before = abstract.count("EXTEND_TIMEOUT_USEC")
        daemon.process.send(15)
        abstract.wait_for("EXTEND_TIMEOUT_USEC", more_than=before + 2, watched=[daemon.process])
        other.execute("ROLLBACK")
    assert daemon.process.wait() == 0


def test_the_watchdog_is_fed_only_while_every_loop_turns(setup, start_relay, generated, abstract):
    setup.relay = start_relay(generated.frames)
    more = {"WATCHDOG_USEC": "3000000", "STANDPIPE_LOG_CORE_DUMPS": "true"}  # the second lets us stop a thread
    daemon = start(setup, abstract, more=more, relay__cursor="oldest")
    abstract.wait_for("READY", "1", watched=[daemon.process])  # it is fed before, while no worker runs yet
    abstract.wait_for("WATCHDOG", "1", more_than=abstract.count("WATCHDOG"), watched=[daemon.process])
    worker = worker_thread(daemon)
    with stopped(worker):
        # The main loop goes on and says so; the worker's last heartbeat grows old.
        wait_until(lambda: pulses_without_food(abstract, daemon) >= 3, "the watchdog starves", 30)
    fed = abstract.count("WATCHDOG")
    abstract.wait_for("WATCHDOG", "1", more_than=fed, watched=[daemon.process])
    assert daemon.terminate() == 0


def worker_thread(daemon):
    """The thread of worker 1. Threads of libuv's pool inherit the name of the thread that first needed one; it is older."""

    def find():
        return next((thread for thread in threads(daemon.pid) if name_of(daemon.pid, thread) == "worker-1"), None)

    return wait_until(find, "worker 1 runs", 30, [daemon.process])


def name_of(pid, thread):
    return Path(f"/proc/{pid}/task/{thread}/comm").read_text().strip()


def pulses_without_food(heard, daemon):
    """How many times it told its status since it last fed the watchdog."""
    daemon.process.check_alive()
    messages = heard.read()
    fed = max(at for at, message in enumerate(messages) if "WATCHDOG" in message)
    return sum("STATUS" in message for message in messages[fed + 1 :])


def test_an_address_that_cannot_be_used_is_told_and_no_reason_not_to_run(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    daemon = setup.run_from_file(environment={"NOTIFY_SOCKET": "vsock:2:1"}, relay__cursor="oldest")
    daemon.process.wait_for_line("NOTIFY_SOCKET cannot be used")
    setup.wait_drained(generated.last_sequence)
    assert daemon.terminate() == 0


def test_pages_that_cannot_be_served_are_told(setup, start_relay, generated, abstract):
    setup.relay = start_relay(generated.frames)
    daemon = start(setup, abstract, relay__cursor="oldest", http__listen=f"127.0.0.1:{setup.relay.port}")
    wait_until(lambda: "no pages: http.listen" in (abstract.last("STATUS") or ""), "it says so", 30, [daemon.process])
    setup.wait_drained(generated.last_sequence)
    assert daemon.terminate() == 0


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_the_unit_s_sandbox_leaves_little_exposed():
    threshold = str(round(EXPOSURE_MAX * 10))
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={threshold}", UNIT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_it_lives_under_the_system_call_filter_of_the_unit(setup, start_relay, generated, certificate, standpipe):
    if is_sanitized(standpipe):
        pytest.skip("a sanitizer needs system calls of its own")
    setup.relay = start_relay(generated.frames, tls=certificate)
    settings = setup.values({"http.listen": f"127.0.0.1:{free_port()}", "relay.cursor": "oldest", "relay.ca_file": certificate.certificate})
    arguments = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    daemon = setup.run_with(arguments, settings, {}, "filtered", [sys.executable, FILTERED, UNIT, standpipe])
    setup.wait_drained(generated.last_sequence)
    assert "Seccomp:\t2" in Path(f"/proc/{daemon.pid}/status").read_text()
    for path in ("/", "/metrics", "/api/metrics"):
        assert daemon.get(path)[0] == 200
    daemon.reload()
    assert daemon.terminate() == 0
    assert generated.differences(setup.database) == []


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_what_the_filter_does_not_know_ends_a_process(folder):
    command = [sys.executable, FILTERED, UNIT, shutil.which("unshare"), "--mount", "true"]
    assert subprocess.run(command, capture_output=True, timeout=60).returncode == -signal.SIGSYS


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_the_unit_is_understood_whole(folder):
    text = UNIT.read_text().replace("/usr/bin/standpipe", "/bin/true")
    unit = folder / "standpipe.service"
    unit.write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60)
    complaints = [line for line in done.stderr.splitlines() if "standpipe" in line]
    assert complaints == []
