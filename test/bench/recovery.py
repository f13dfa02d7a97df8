"""How fast it is whole again: another process takes over; PostgreSQL comes back after minutes.

Only by name: they take minutes. Each asserts that nothing was lost, and yields (name, figures).
"""
import json
import statistics
import subprocess
import time

import psycopg

from benches import RECORDS_ALONE, backlog
from harness.process import clean_environment
from harness.waiting import wait_until
from stage import wait_queued
from usage import MEGABYTE, rss_bytes, slope

LEASE = "firehose:events:lease"
TAKEOVER_RATE = 500
POLL_SECONDS = 0.001
SETTLE_SECONDS = 2.0

OUTAGE_RATE = 2000
OUTAGE_FRAME_BYTES = 1000
WARM_SECONDS = 15
AFTER_SECONDS = 60  # of frames, for what comes in while it catches up
LOST = """
SELECT (SELECT count(*) FROM (SELECT did, collection, rkey, cid FROM truth EXCEPT
            SELECT did, collection, rkey, cid FROM records) AS missing),
       (SELECT count(*) FROM (SELECT did, collection, rkey, cid FROM records EXCEPT
            SELECT did, collection, rkey, cid FROM truth) AS more)
"""


# --- takeover ---


def wait_leader(setup):
    wait_until(lambda: setup.stream().exists(LEASE), "somebody holds the lease", 30)


def pause_seconds(setup, end):
    """Ends the leader by `end()`; for how long nothing was appended: from the last append of the old one to the
    first of the new one."""
    old = setup.stream().get(LEASE)
    end()
    ended = last = time.monotonic()
    seen = setup.queued()
    while True:
        queued, holder = setup.queued(), setup.stream().get(LEASE)
        now = time.monotonic()
        if queued > seen and holder not in (old, None):
            return now - last
        if queued > seen:
            seen, last = queued, now
        assert now < ended + 30, "nobody takes over"
        time.sleep(POLL_SECONDS)


def start_node(setup, name, **overrides):
    return setup.run(name, relay__cursor="live", **overrides).wait_running()


def takeovers(setup, arguments, end):
    """Seconds of each; the one that is ended is started again as the one that waits."""
    leader, other = start_node(setup, "one"), None
    wait_queued(setup, leader, 1)
    other = start_node(setup, "two")
    found = []
    for _ in range(arguments.takeovers):
        time.sleep(SETTLE_SECONDS)
        found.append(pause_seconds(setup, lambda: end(leader)))
        leader, other = other, start_node(setup, leader.name)
    for daemon in (leader, other):
        assert daemon.terminate() == 0
    return found


def takeover(stage, arguments):
    ways = {
        "kill": lambda daemon: daemon.kill(),
        "drain": lambda daemon: daemon.process.send(15),
    }
    for way, end in ways.items():
        setup = stage.fresh("--generate", 0, "--rate", TAKEOVER_RATE, "--base-time", 0)
        found = takeovers(setup, arguments, end)
        yield f"takeover-{way}", {
            "takeovers": len(found),
            "events_per_second": TAKEOVER_RATE,
            "median_ms": round(statistics.median(found) * 1000),
            "least_ms": round(min(found) * 1000),
            "most_ms": round(max(found) * 1000),
        }


# --- an outage of PostgreSQL ---


def make_frames(stage, count):
    frames, truth = stage.folder / "outage.bin", stage.folder / "outage.truth"
    command = [stage.relay_program, "--generate", count, "--frame-bytes", OUTAGE_FRAME_BYTES]
    command += ["--write", frames, "--truth", truth]
    subprocess.run(list(map(str, command)), check=True, env=clean_environment(), capture_output=True)
    return frames, truth


def truth_rows(path):
    with open(path, encoding="utf-8") as file:
        for line in file:
            item = json.loads(line)
            if item["type"] == "record":
                yield item["did"], item["collection"], item["rkey"], item["cid"]


def lost_and_more(setup, path):
    """Live records that are missing or have another CID, and those that nobody made."""
    with psycopg.connect(setup.database.conninfo) as connection:
        connection.execute("CREATE TEMPORARY TABLE truth (did text, collection text, rkey text, cid text)")
        with connection.cursor().copy("COPY truth FROM STDIN") as copy:
            for row in truth_rows(path):
                copy.write_row(row)
        return connection.execute(LOST).fetchone()


def watch_outage(setup, daemon, seconds):
    """[(second, RSS)] once a second; the backlog at the end."""
    samples, started = [], time.monotonic()
    while time.monotonic() < started + seconds:
        time.sleep(1)
        daemon.process.check_alive()
        samples.append((time.monotonic() - started, rss_bytes(daemon.pid)))
    return samples, backlog(setup)


def committed(setup):
    return setup.last_sequence() - backlog(setup)


def catch_up(setup, daemon):
    """(events, seconds) from when PostgreSQL answers until the backlog is less than a second of events. Reading goes on
    long before that where it was paused, and is faster than the workers: what the relay has kept is in by then."""
    first, started = committed(setup), time.monotonic()
    while backlog(setup) > OUTAGE_RATE:
        daemon.process.check_alive()
        assert time.monotonic() < started + 900, f"does not catch up: {setup.progress()}"
        time.sleep(0.05)
    return committed(setup) - first, time.monotonic() - started


def outage_of(stage, arguments, name, settings):
    seconds = arguments.minutes * 60
    count = int(OUTAGE_RATE * (WARM_SECONDS + seconds + AFTER_SECONDS))
    frames, truth = make_frames(stage, count)
    setup = stage.fresh("--file", frames, "--rate", OUTAGE_RATE, settings={**arguments.settings, **settings})
    daemon = setup.run("bench", relay__cursor="oldest")
    wait_queued(setup, daemon, 1)
    time.sleep(WARM_SECONDS)
    before = rss_bytes(daemon.pid)
    stage.cluster.stop()
    samples, behind = watch_outage(setup, daemon, seconds)
    stage.cluster.start()
    events, took = catch_up(setup, daemon)
    setup.wait_drained(count, seconds + 300)
    assert daemon.terminate() == 0
    lost, more = lost_and_more(setup, truth)
    letters = setup.database.scalar("SELECT count(*) FROM standpipe_dead_letters")
    half = samples[len(samples) // 2 :]
    yield name, {
        "minutes": arguments.minutes,
        "events_per_second": OUTAGE_RATE,
        "events": count,
        "backlog_at_the_end": behind,
        "catch_up_events": events,
        "catch_up_seconds": round(took, 1),
        "catch_up_events_per_second": round(events / took),
        "times_the_rate": round(events / took / OUTAGE_RATE, 1),
        "rss_before_mb": round(before / MEGABYTE, 1),
        "rss_most_mb": round(max(size for _, size in samples) / MEGABYTE, 1),
        "rss_last_mb": round(samples[-1][1] / MEGABYTE, 1),
        "rss_slope_second_half_kb_per_second": round(slope(half) / 1000, 2),
        "records_lost": lost,
        "records_too_many": more,
        "dead_letters": letters,
    }
    assert (lost, more, letters) == (0, 0, 0), "not all is as it should be"


def outage(stage, arguments):
    """With the typed tables of app.bsky and their counts, and into `records` alone."""
    yield from outage_of(stage, arguments, "outage", {})
    yield from outage_of(stage, arguments, "outage-records", RECORDS_ALONE)


RECOVERY = {"takeover": takeover, "outage": outage}
