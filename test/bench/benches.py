"""Each bench yields (name, figures). Events are frames; CPU is user and system time together."""
import os
import subprocess
import time
from contextlib import contextmanager

import psycopg

import limits
import web
from latency import latency
from stage import ROOT, clean_environment, wait_queued
from usage import MEGABYTE, Usage, medians, rss_bytes, slope

IDLE_SECONDS = 15
WARM_SECONDS = 5
STEADY_RATE = 10_000
HTTP_RATE = 1000  # events a second of `http-steady`: three times the average of the network
FULL_BACKLOG = 50_000  # of `http`: reached while it warms up, from when on the windows are alike


def repeat(arguments, once):
    """The medians of several runs; each run gives dicts by bench name."""
    runs = [once() for _ in range(arguments.runs)]
    return {name: {**medians([run[name] for run in runs]), "runs": len(runs)} for name in runs[0]}


def figures(events, seconds, usage, daemon):
    return {
        "events": events,
        "seconds": round(seconds, 2),
        "events_per_second": round(events / seconds),
        "cpu_us_per_event": usage.per_event_us(events),
        "rss_mb": round(rss_bytes(daemon.pid) / MEGABYTE, 1),
    }


def decode_once(stage, arguments):
    path = stage.frames(arguments.events)
    before, started = os.times(), time.monotonic()
    with open(os.devnull, "wb") as null:
        command = [stage.standpipe, "decode", path]
        subprocess.run(command, check=True, stdout=null, env=clean_environment())
    seconds, after = time.monotonic() - started, os.times()
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return {
        "events": arguments.events,
        "events_per_second": round(arguments.events / seconds),
        "megabytes_per_second": round(path.stat().st_size / seconds / MEGABYTE),
        "cpu_us_per_event": round(cpu * 1e6 / arguments.events, 2),
    }


def decode(stage, arguments):
    yield from repeat(arguments, lambda: {"decode": decode_once(stage, arguments)}).items()


@contextmanager
def held_workers(setup):
    """Holds the lock that every batch needs first, so that the workers wait and only ingest runs."""
    with psycopg.connect(setup.database.conninfo) as connection:
        connection.execute("LOCK TABLE repos IN ACCESS EXCLUSIVE MODE")
        yield


RECORDS_ALONE = {"postgres.tables_file": "none"}


def uncounted(stage):
    """The typed tables of app.bsky without the tables of counts."""
    path = stage.folder / "uncounted.conf"
    lines = (ROOT / "conf" / "tables.conf").read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("count = ")))
    return {"postgres.tables_file": path}


def fill(stage, count, settings=(), tls=None):
    """Relay to stream while the workers are held; ends the daemon with the stream full."""
    setup = stage.fresh("--file", stage.frames(count), settings=settings, tls=tls)
    with held_workers(setup):
        daemon = setup.run("bench", relay__cursor="oldest")
        started = wait_queued(setup, daemon, 1)
        usage, first = Usage(stage.processes(daemon)), setup.queued()
        filled = wait_queued(setup, daemon, count)
        found = figures(count - first, filled - started, usage, daemon)
        daemon.kill()
    return setup, found


def run_phases(stage, arguments, settings=()):
    """Ingest alone, then the workers alone; the start of the process counts with the latter."""
    count = arguments.events
    setup, ingest = fill(stage, count, {**arguments.settings, **dict(settings)})
    stage.relay.stop()
    entries = limits.sample_entries(setup)
    limits.share(ingest, limits.append_rate(setup, entries))
    started = time.monotonic()
    daemon = setup.run("bench", ingest__mode="never")
    usage = Usage(stage.processes(daemon))
    setup.wait_drained(count, 180)
    sink = figures(count, time.monotonic() - started, usage, daemon)
    assert daemon.terminate() == 0
    limits.share(sink, limits.upsert_rate(setup, entries))
    return {"ingest": ingest, "sink": sink}


def three_ways(stage, name, once):
    """With the typed tables of app.bsky and their counts, without the counts, and `records` alone; what share of the rate of
    the last is left of it."""
    found = {
        name: once({}),
        f"{name}-uncounted": once(uncounted(stage)),
        f"{name}-records": once(RECORDS_ALONE),
    }
    alone = found[f"{name}-records"]["events_per_second"]
    for which in (name, f"{name}-uncounted"):
        found[which]["share_of_records_alone"] = round(found[which]["events_per_second"] / alone, 2)
    return found


def ingest(stage, arguments):
    """Over ws, and over wss in the same run."""

    def once():
        found = {"ingest": fill(stage, arguments.events, arguments.settings)[1]}
        setup = stage.setup
        limits.share(found["ingest"], limits.append_rate(setup, limits.sample_entries(setup)))
        tls = stage.certificate()
        settings = {**arguments.settings, "relay.ca_file": tls.certificate}
        found["ingest-tls"] = fill(stage, arguments.events, settings, tls=tls)[1]
        return found

    yield from repeat(arguments, once).items()


def sink(stage, arguments):
    def once():
        return three_ways(stage, "sink", lambda settings: run_phases(stage, arguments, settings)["sink"])

    yield from repeat(arguments, once).items()


def run_through(stage, arguments, settings=()):
    settings = {**arguments.settings, **dict(settings)}
    setup = stage.fresh("--file", stage.frames(arguments.events), settings=settings)
    daemon = setup.run("bench", relay__cursor="oldest")
    started = wait_queued(setup, daemon, 1)
    usage = Usage(stage.processes(daemon))
    setup.wait_drained(arguments.events, 180)
    found = figures(arguments.events, time.monotonic() - started, usage, daemon)
    assert daemon.terminate() == 0
    return limits.share(found, limits.upsert_rate(setup, limits.sample_entries(setup)))


def end_to_end(stage, arguments):
    def once():
        return three_ways(stage, "end-to-end", lambda settings: run_through(stage, arguments, settings))

    yield from repeat(arguments, once).items()


def backlog(setup):
    """Entries in the stream that are not acknowledged, delivered or not."""
    key = "firehose:events"
    for group in setup.stream().xinfo_groups(key):
        delivered = int(group["last-delivered-id"].decode().split("-")[1])
        return setup.last_sequence() - delivered + group["pending"]
    return 0


def sample(setup, daemon, seconds):
    """[(second, backlog, RSS)] once a second."""
    samples, started = [], time.monotonic()
    for second in range(seconds):
        time.sleep(max(0.0, started + second + 1 - time.monotonic()))
        daemon.process.check_alive()
        samples.append((second, backlog(setup), rss_bytes(daemon.pid)))
    return samples


def steady(stage, arguments):
    setup = stage.fresh("--generate", 0, "--rate", arguments.rate or STEADY_RATE, "--base-time", 0)
    daemon = setup.run("bench", relay__cursor="live")
    wait_queued(setup, daemon, 1)
    sample(setup, daemon, WARM_SECONDS)
    usage, first = Usage(stage.processes(daemon)), setup.queued()
    started = time.monotonic()
    samples = sample(setup, daemon, arguments.seconds)
    seconds, events = time.monotonic() - started, setup.queued() - first
    found = figures(events, seconds, usage, daemon)
    assert daemon.terminate() == 0
    half = len(samples) // 2  # by then the buffers have seen their first bursts
    depths, sizes = [row[1] for row in samples], [row[2] for row in samples]
    found |= {
        "backlog_most": max(depths),
        "backlog_last": depths[-1],
        "backlog_slope_per_second": round(slope([row[:2] for row in samples]), 2),
        "rss_first_mb": round(sizes[0] / MEGABYTE, 1),
        "rss_last_mb": round(sizes[-1] / MEGABYTE, 1),
        "rss_slope_kb_per_second": round(slope([row[::2] for row in samples]) / 1000, 2),
        "rss_slope_second_half": round(slope([row[::2] for row in samples[half:]]) / 1000, 2),
    }
    yield "steady", found


def idle(stage, _arguments):
    setup = stage.fresh("--file", stage.frames(100))
    daemon = setup.run("bench", relay__cursor="oldest")
    setup.wait_drained(100)
    sample(setup, daemon, 2)
    usage, before = Usage(stage.processes(daemon)), setup.stream().info()["total_commands_processed"]
    sample(setup, daemon, IDLE_SECONDS)
    commands = setup.stream().info()["total_commands_processed"] - before
    percent = {name: round(value * 100 / IDLE_SECONDS, 2) for name, value in usage.seconds().items()}
    found = {
        "cpu_percent_of_a_core": percent,
        "redis_commands_per_second": round(commands / IDLE_SECONDS, 1),
        "rss_mb": round(rss_bytes(daemon.pid) / MEGABYTE, 1),
    }
    assert daemon.terminate() == 0
    yield "idle", found


def attack(stage, arguments, kinds, *relay_arguments, settings=()):
    setup = stage.fresh("--generate", 0, "--base-time", 0, *relay_arguments, settings=settings)
    daemon = setup.run("bench", relay__cursor="live")
    wait_queued(setup, daemon, 1)
    sample(setup, daemon, WARM_SECONDS)
    found, quiet = web.windows(setup, daemon, arguments.runs)
    assert daemon.terminate() == 0
    return web.summary(found, quiet, kinds)


def http(stage, arguments):
    """Windows of a quiet daemon and of one that is scraped or attacked take turns in one run at full load.

    What is committed counts: the relay is read and paused by turns, for the backlog is at its bound.
    """
    setup = stage.fresh("--file", stage.frames(100))
    daemon = setup.run("bench", relay__cursor="oldest")
    setup.wait_drained(100)
    cost_ms = web.scrape_cost_ms(daemon)
    assert daemon.terminate() == 0
    yield "http", {
        "scrape_cpu_ms": round(cost_ms, 3),
        "scrape_a_second_percent_of_a_core": round(cost_ms / 10, 3),
        **attack(stage, arguments, ["commits"], settings={"stream.max_backlog": FULL_BACKLOG}),
    }


def http_steady(stage, arguments):
    """The same at a rate that leaves room, where any event that is late shows."""
    yield "http-steady", attack(stage, arguments, web.KINDS, "--rate", HTTP_RATE)


BENCHES = {
    "decode": decode,
    "ingest": ingest,
    "sink": sink,
    "end-to-end": end_to_end,
    "latency": latency,
    "idle": idle,
    "steady": steady,
    "http": http,
    "http-steady": http_steady,
}
