"""Health: each word that readiness knows is really reached, and a loop that is stuck fails liveness."""
import ctypes
import json
import os
import re
import signal
from pathlib import Path

import pytest

from harness.raw_relay import RawRelay
from harness.waiting import wait_until

PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000  # __WALL: threads too
LIBC = ctypes.CDLL(None, use_errno=True)


def dependency(daemon, name):
    body = daemon.get("/readyz")[1]
    return json.loads(body)["dependencies"][name] if body else {"state": "no answer"}


def wait_state(daemon, name, state, seconds=40):
    wait_until(
        lambda: dependency(daemon, name)["state"] == state,
        lambda: f"{name} is {state} ({daemon.get('/readyz')})",
        seconds,
        [daemon.process],
    )
    found = dependency(daemon, name)
    assert found["since"]
    return found


def wait_reason(daemon, name, state, words):
    wait_until(
        lambda: dependency(daemon, name)["state"] == state and words in dependency(daemon, name)["reason"],
        lambda: f"{name} is {state}: {words} ({daemon.get('/readyz')})",
        40,
        [daemon.process],
    )


def test_a_redis_that_never_was_there_is_away_and_says_why(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    daemon = setup.run(redis__url="unix:///nonexistent/redis.sock")
    assert "No such file" in wait_state(daemon, "redis", "away")["reason"]
    assert daemon.terminate() == 0


def cut_connections_of_others(redis):
    own = redis.client.client_id()
    for client in redis.client.client_list():
        if int(client["id"]) != own:
            redis.client.client_kill_filter(_id=client["id"])


def test_a_password_that_redis_asks_for_is_misconfigured_from_the_start_and_later(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    running = setup.run(relay__cursor="oldest").wait_ready()
    setup.redis.client.config_set("requirepass", "sesame")
    try:
        cut_connections_of_others(setup.redis)
        wait_reason(running, "redis", "misconfigured", "NOAUTH")
        fresh = setup.run("fresh")
        wait_reason(fresh, "redis", "misconfigured", "NOAUTH")
    finally:
        setup.redis.client.config_set("requirepass", "")
    wait_state(running, "redis", "ready")
    assert [running.terminate(), fresh.terminate()] == [0, 0]


def test_postgres_that_refuses_is_misconfigured_with_its_own_words(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    daemon = setup.run(postgres__url=f"{setup.database.conninfo} options=-cno_such=1")
    assert "no_such" in wait_state(daemon, "postgres", "misconfigured")["reason"]
    assert dependency(daemon, "relay")["state"] == "starting"
    assert daemon.terminate() == 0


def test_what_was_never_there_is_away_and_not_starting_for_ever(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    daemon = setup.run(postgres__url="host=/nonexistent dbname=x")
    wait_state(daemon, "postgres", "away")
    assert daemon.terminate() == 0
    setup.relay.stop()
    daemon = setup.run()
    wait_state(daemon, "relay", "away")
    assert daemon.terminate() == 0


class RefusingRelay(RawRelay):
    """Answers each handshake with a status of its own."""

    def __init__(self, status):
        super().__init__(None)
        self.status = status

    def shake_hands(self):
        self.current.recv(65536)
        self.current.sendall(f"HTTP/1.1 {self.status}\r\nContent-Length: 0\r\n\r\n".encode())
        raise EOFError


@pytest.mark.parametrize("status", ["403 Forbidden", "404 Not Found"])
def test_a_relay_that_refuses_is_away_with_what_it_said(setup, status):
    setup.relay = RefusingRelay(status).start()
    daemon = setup.run()
    wait_reason(daemon, "relay", "away", f"got {status[:3]}")
    assert daemon.terminate() == 0


def test_a_relay_whose_name_nobody_knows_is_away_and_says_so(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    daemon = setup.run(relay__url="ws://" + "a" * 64 + ".invalid")  # too long a label: no resolver is asked
    wait_reason(daemon, "relay", "away", "resolve")
    assert daemon.terminate() == 0


def test_alone_at_a_replica_the_lease_is_not_said_to_be_elsewhere(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    daemon = setup.run(relay__cursor="oldest").wait_ready()
    setup.redis.client.replicaof("127.0.0.1", "1")
    try:
        wait_reason(daemon, "relay", "paused", "the ingest lease cannot be taken: READONLY")
        assert daemon.get("/readyz")[0] == 503
    finally:
        setup.redis.client.replicaof("NO", "ONE")
    wait_state(daemon, "relay", "ready")
    other = setup.run("other").wait_ready()
    assert wait_state(other, "relay", "ready")["reason"] == "another process holds the ingest lease"
    assert [other.terminate(), daemon.terminate()] == [0, 0]


def test_since_is_when_it_happened_and_not_when_somebody_asked(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    daemon = setup.run(relay__cursor="oldest").wait_ready()
    setup.relay.stop()
    first = wait_state(daemon, "relay", "away")
    for _ in range(3):
        assert dependency(daemon, "relay")["since"] == first["since"]
    assert daemon.terminate() == 0


def test_a_backlog_is_catching_up_then_paused_then_ready(setup, start_relay, generated):
    assert setup.command("migrate").returncode == 0
    with setup.database.transaction() as lock:
        lock.execute("LOCK TABLE repos IN ACCESS EXCLUSIVE MODE")
        setup.relay = start_relay(generated.frames, "--rate", 200)
        settings = {"alerts.depth_warning": 200, "alerts.depth_critical": 500, "stream.max_backlog": 1000}
        daemon = setup.run(relay__cursor="oldest", **settings)
        wait_until(lambda: daemon.get("/livez")[0] == 200, "alive", 30, [daemon.process])
        assert "not yet acknowledged" in wait_state(daemon, "backlog", "catching up")["reason"]
        reason = wait_state(daemon, "backlog", "paused")["reason"]
        assert re.fullmatch(r"\d{1,3}(,\d{3})+ entries are not yet acknowledged", reason)  # as the alert says it
        assert "reading waits" in wait_state(daemon, "relay", "paused")["reason"]
        assert daemon.get("/readyz")[0] == 503
        lock.rollback()
    wait_state(daemon, "relay", "ready", 90)
    wait_state(daemon, "backlog", "ready", 90)
    assert daemon.terminate() == 0


def test_a_stop_that_waits_for_postgres_is_draining(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames, "--rate", 300)
    daemon = setup.run(relay__cursor="oldest").wait_ready()
    wait_until(lambda: daemon.api()["eventsProcessed"] > 0, "a commit", 30, [daemon.process])
    with setup.database.transaction() as lock:
        lock.execute("LOCK TABLE repos IN ACCESS EXCLUSIVE MODE")
        setup.wait_held(daemon)
        daemon.process.send(signal.SIGTERM)
        first = wait_state(daemon, "postgres", "draining", 15)
        assert dependency(daemon, "postgres")["since"] == first["since"]
        assert daemon.get("/livez")[0] == 200
        lock.rollback()
    assert daemon.process.wait(30) == 0


def worker_thread(daemon):
    """The thread of worker 1, by the name that it gives itself."""
    tasks = Path(f"/proc/{daemon.pid}/task")
    found = [int(task.name) for task in tasks.iterdir() if (task / "comm").read_text() == "worker-1\n"]
    assert len(found) == 1
    return found[0]


def trace(request, thread):
    done = LIBC.ptrace(request, thread, None, None)
    assert done == 0, os.strerror(ctypes.get_errno())


def test_a_worker_loop_that_is_stuck_fails_liveness_and_only_that(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    daemon = setup.run(relay__cursor="oldest").wait_ready()
    thread = worker_thread(daemon)
    trace(PTRACE_SEIZE, thread)
    trace(PTRACE_INTERRUPT, thread)
    os.waitpid(thread, WALL)
    wait_until(lambda: daemon.get("/livez")[0] == 503, "not alive", 60, [daemon.process])
    stalled = json.loads(daemon.get("/livez")[1])["stalled"]
    assert [loop["worker"] for loop in stalled] == [1] and stalled[0]["seconds"] > 15
    done = setup.command("status", "--check", "--live", overrides=daemon.settings)
    assert done.returncode == 1 and "stalled" in done.stdout
    trace(PTRACE_DETACH, thread)
    wait_until(lambda: daemon.get("/livez")[0] == 200, "alive again", 30, [daemon.process])
    assert daemon.terminate() == 0
