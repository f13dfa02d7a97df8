"""HTTP under attack while events flow: the ingest does not stop, and who is polite is still served."""
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.process import clean_environment, is_sanitized
from harness.waiting import wait_until

ATTACKER = Path(__file__).resolve().parent / "harness" / "attacker.py"
SECONDS = 6
SERVED, HEAD_SECONDS = 128, 5
HELD = {"slowloris": 400, "flood": 10_000, "pipeline": 20, "oversize": 100, "readers": 60}


@pytest.fixture
def daemon(setup, endless_relay):
    setup.relay = endless_relay
    return setup.run(relay__cursor="live").wait_ready()


def port_of(daemon):
    return daemon.settings["http.listen"].rpartition(":")[2]


def attack(daemon, kind):
    command = [sys.executable, ATTACKER, kind, port_of(daemon), str(SECONDS), str(HELD[kind])]
    return subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, env=clean_environment())


@pytest.mark.parametrize("kind", list(HELD))
def test_events_flow_on_and_pages_are_there_again_afterwards(setup, daemon, kind):
    busy, started = daemon.metrics()["standpipe_http_busy_seconds_total"], time.monotonic()
    attacker = attack(daemon, kind)
    sequences = [setup.queued()]
    while attacker.poll() is None:
        time.sleep(0.5)  # the period that is looked at, not a wait
        sequences.append(setup.queued())
        daemon.process.check_alive()
    figures = json.loads(attacker.stdout.read())
    assert figures["opened"] >= HELD[kind], figures
    still = sum(after == before for before, after in zip(sequences, sequences[1:]))
    assert still <= len(sequences) // 4, f"the ingest stood still: {sequences}"
    wait_until(lambda: daemon.get("/livez")[0] == 200, "a page is served again", 30, [daemon.process])
    metrics = wait_until(daemon.metrics, "a page of metrics", 30, [daemon.process])
    share = (metrics["standpipe_http_busy_seconds_total"] - busy) / (time.monotonic() - started)
    assert share < 0.1, f"HTTP took {share:.1%} of the thread that ingests; 5 % is its share"
    assert metrics["standpipe_http_connections"] <= SERVED + 32
    if kind == "flood":
        rounds = 1 + (time.monotonic() - started) // HEAD_SECONDS
        assert figures["closed_without_a_word"] <= SERVED * rounds, figures  # those whose head never came, and no other
        assert figures["refused_with_503"] > 1000, figures
        assert metrics["standpipe_http_refused_connections_total"] >= figures["refused_with_503"]
    if kind == "oversize":
        assert metrics['standpipe_http_responses_total{status="4xx"}'] > 100
    # Everything that was taken is there, and the daemon stops as it should.
    assert daemon.terminate() == 0
    assert setup.database.scalar("SELECT count(*) FROM standpipe_records") > 0


def test_a_flood_costs_no_memory_that_stays(setup, daemon, standpipe):
    def resident():
        page = wait_until(daemon.metrics, "a page is served again", 30, [daemon.process])
        return page["process_resident_memory_bytes"]

    before = resident()
    attacker = attack(daemon, "flood")
    attacker.wait(SECONDS + 60)
    attacker.stdout.close()
    if not is_sanitized(standpipe):  # a sanitizer keeps what was freed
        assert resident() - before < 64 * 1024 * 1024
    assert daemon.terminate() == 0
