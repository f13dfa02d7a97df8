"""Alerts: what crosses a threshold is said once, in the log, in /api/metrics and in /metrics."""
import json
import re
import socket
import time
from datetime import datetime

import pytest

from handmade import Create, Repo, Sequence, write_frames
from harness.waiting import wait_until

STREAM = "firehose:events"


def active(daemon, name):
    found = [alert for alert in daemon.api().get("alerts", []) if alert["name"] == name]
    return found[0] if found else None


def wait_alert(daemon, name, severity):
    wait_until(
        lambda: (active(daemon, name) or {"severity": None})["severity"] == severity,
        lambda: f"alert {name} is {severity} ({daemon.api().get('alerts')})",
        30,
        [daemon.process],
    )
    return active(daemon, name)


def time_of(text):
    """Of a line of the log, or of a time in it."""
    return datetime.fromisoformat(text.split()[0].replace("Z", "+00:00")).timestamp()


def lines_of(daemon, name):
    return [line for line in daemon.process.text().splitlines() if f"alert[{name}]" in line]


@pytest.fixture
def start_held(setup, start_relay, generated):
    """start_held(settings) -> (daemon, release): repos is locked until release(), so nothing commits."""
    assert setup.command("migrate").returncode == 0
    setup.relay = start_relay(generated.frames)
    lock = setup.database.transaction()
    lock.execute("LOCK TABLE repos IN ACCESS EXCLUSIVE MODE")

    def start(**settings):
        daemon = setup.run(relay__cursor="oldest", alerts__interval_ms=100, **settings)
        wait_until(lambda: daemon.get("/livez")[0] == 200, "alive", 30, [daemon.process])
        return daemon, lock.rollback

    yield start
    lock.close()


def test_a_backlog_warns_is_critical_and_is_over_each_said_once(start_held):
    daemon, release = start_held(alerts__depth_warning=100, alerts__depth_critical=500)
    alert = wait_alert(daemon, "backlog", "critical")
    assert re.fullmatch(r"[\d,]+ entries are not yet acknowledged, over 500", alert["text"])
    assert daemon.metrics()['standpipe_alert_active{alert="backlog"}'] == 1
    assert daemon.api()["firehoseStatus"]["queueDepth"] > 500
    release()
    wait_alert(daemon, "backlog", None)
    assert daemon.metrics()['standpipe_alert_active{alert="backlog"}'] == 0
    assert daemon.terminate() == 0
    words = [line.split("] ")[1].split()[0] for line in lines_of(daemon, "backlog")]
    assert words in (["raised", "over"], ["raised", "raised", "over"],
                     ["raised", "lowered", "over"], ["raised", "raised", "lowered", "over"])


def test_lag_warns_while_nothing_commits(start_held):
    daemon, release = start_held(alerts__lag_warning_ms=2000)
    assert "behind the relay, over 2.0 s" in wait_alert(daemon, "lag", "warning")["text"]
    release()
    assert daemon.terminate() == 0


def test_lag_after_a_start_is_that_of_the_event_that_waits_longest(start_held, setup):
    daemon, release = start_held()
    setup.wait_held(daemon)
    daemon.kill()
    again = setup.run("again", alerts__interval_ms=100)
    wait_until(lambda: again.get("/livez")[0] == 200, "alive", 30, [again.process])
    wait_alert(again, "lag", "warning")
    behind = again.api()["lag"]["behindSeconds"]
    age = time.time() - time_of(setup.stream().xrange(STREAM, count=1)[0][1][b"time"].decode())
    assert age > 86400 and abs(behind - age) < 60
    assert again.api()["lag"]["lastCommit"] is None
    release()
    assert again.terminate() == 0


def test_a_relay_that_sends_nothing_has_stalled(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    settings = {"alerts__interval_ms": 100, "alerts__stall_warning_ms": 1000}
    daemon = setup.run(relay__cursor="oldest", **settings).wait_ready()
    alert = wait_alert(daemon, "relay_stalled", "warning")
    assert alert["text"].startswith("the relay is connected and has sent nothing for ")
    assert daemon.terminate() == 0
    assert len(lines_of(daemon, "relay_stalled")) == 1


def test_gaps_and_dead_letters_are_told(setup, start_relay, folder):
    sequence = Sequence()
    repo = Repo(sequence, "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")
    frames = [repo.commit(Create("com.example.x/r0", {"n": 0}))]
    sequence.next += 5
    frames += [repo.commit(Create("com.example.x/r1", {"n": 1})), b"\xff no frame"]
    setup.relay = start_relay(write_frames(frames, folder / "f.bin"), "--rate", 1)
    daemon = setup.run(relay__cursor="oldest", alerts__interval_ms=100).wait_ready()
    assert wait_alert(daemon, "relay_gaps", "warning")["text"] == "the relay left out 5 sequences"
    assert "1 new dead letters" in wait_alert(daemon, "dead_letters", "warning")["text"]
    assert daemon.terminate() == 0


def test_a_gap_that_the_first_frame_finds_is_told(setup, start_relay, folder):
    sequence = Sequence()
    repo = Repo(sequence, "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")
    before = write_frames([repo.commit(Create("com.example.x/r0", {"n": 0}))], folder / "before.bin")
    setup.relay = start_relay(before)
    daemon = setup.run("before", relay__cursor="oldest").wait_ready()
    setup.wait_drained(1)
    assert daemon.terminate() == 0
    port = setup.relay.port
    setup.relay.stop()
    sequence.next += 990
    after = write_frames([repo.commit(Create("com.example.x/r1", {"n": 1}))], folder / "after.bin")
    setup.relay = start_relay(after, port=port)
    daemon = setup.run("after", alerts__interval_ms=1000).wait_ready()
    assert wait_alert(daemon, "relay_gaps", "warning")["text"] == "the relay left out 990 sequences"
    assert daemon.terminate() == 0


def test_an_outage_of_the_relay_is_no_silence_of_it(setup, start_relay, generated):
    """The relay is away for longer than the threshold; back, it has sent nothing for no time at all."""
    setup.relay = start_relay(generated.frames)
    settings = {"alerts__interval_ms": 100, "alerts__stall_warning_ms": 4000}
    daemon = setup.run(relay__cursor="oldest", **settings).wait_ready()
    setup.wait_drained(generated.last_sequence)
    port = setup.relay.port
    setup.relay.stop()
    stopped = time.monotonic()
    wait_until(lambda: time.monotonic() - stopped > 4.5, "longer than the threshold", 30, [daemon.process])
    setup.relay = start_relay(generated.frames, port=port)
    pattern = r"(?s)^.* connected address=.* connected address=.*\[relay_stalled\] raised"
    wait_until(lambda: re.search(pattern, daemon.process.text()), "back, and raised", 60, [daemon.process])
    lines = [line for line in daemon.process.text().splitlines()
             if " connected address=" in line or "[relay_stalled] raised" in line]
    assert time_of(lines[-1]) - time_of(lines[-2]) > 3.9
    assert daemon.terminate() == 0


def unacknowledged(client):
    """What DELIVERY says that queueDepth is, from Redis' own lists rather than its counts."""
    group = client.xinfo_groups(STREAM)[0]
    waiting = client.xrange(STREAM, min=b"(" + group["last-delivered-id"])
    return group["pending"] + len(waiting), group["lag"]


def test_queue_depth_is_right_where_the_lag_of_redis_is_null(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames, "--rate", 500)
    daemon = setup.run(relay__cursor="oldest").wait_ready()
    wait_until(lambda: daemon.api()["eventsProcessed"] > 0, "a commit", 30, [daemon.process])
    with setup.database.transaction() as lock:
        lock.execute("LOCK TABLE repos IN ACCESS EXCLUSIVE MODE")
        client = setup.stream()
        setup.wait_held(daemon)
        wait_until(
            lambda: setup.queued() >= generated.last_sequence,
            lambda: f"all is in the stream ({setup.progress()})",
            60,
            [daemon.process],
        )
        group = client.xinfo_groups(STREAM)[0]
        client.xgroup_setid(STREAM, group["name"], group["last-delivered-id"])
        depth, lag = unacknowledged(client)
        assert lag is None and depth > 0
        wait_until(
            lambda: daemon.api()["lag"]["isKnown"] is False
            and daemon.api()["firehoseStatus"]["queueDepth"] == depth,
            lambda: f"queueDepth is {depth} ({daemon.api()['firehoseStatus']})",
            20,
            [daemon.process],
        )
        lock.rollback()
    setup.wait_drained(generated.last_sequence)
    assert daemon.api()["firehoseStatus"]["queueDepth"] is not None
    assert daemon.terminate() == 0


def test_a_port_that_is_taken_is_loud_and_pages_come_once_it_is_free(setup, start_relay, generated):
    """Events flow on: they are what the process is for, and the port may be another's for a moment only."""
    setup.relay = start_relay(generated.frames)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        daemon = setup.run(relay__cursor="oldest", http__listen=address, alerts__interval_ms=500)
        setup.wait_drained(generated.last_sequence)
        daemon.process.wait_for_line("alert[http_closed] raised severity=critical")
        assert f"no page is served why=\"http.listen: cannot listen on `{address}`: " in daemon.process.text()
    wait_until(lambda: daemon.get("/livez")[0] == 200, "pages are there", 30, [daemon.process])
    daemon.process.wait_for_line("alert[http_closed] over severity=none why=\"pages are served\"")
    assert daemon.metrics()['standpipe_alert_active{alert="http_closed"}'] == 0
    assert daemon.terminate() == 0


def test_of_two_that_were_given_one_port_the_second_serves_once_the_first_has_gone(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    first = setup.run("first", relay__cursor="oldest").wait_ready()
    listen = first.settings["http.listen"]
    second = setup.run("second", http__listen=listen).wait_running()
    second.process.wait_for_line("alert[http_closed] raised")
    done = setup.command("status", "--json", overrides={"http.listen": listen})
    assert json.loads(done.stdout)["process"]["pid"] == first.pid
    assert first.terminate() == 0
    wait_until(lambda: second.get("/readyz")[0] == 200, "the second serves and ingests", 60, [second.process])
    assert second.terminate() == 0
