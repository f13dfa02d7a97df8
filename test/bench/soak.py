"""Soak: one rate for as long as it is told, and whether anything that has to be flat grows.

It begins when a backlog has been caught up, so that each buffer has seen its largest batch: what grows after that is a leak.
"""
import time
from pathlib import Path

from benches import WARM_SECONDS, backlog, figures, held_workers, sample
from harness.waiting import wait_until
from plot import plot
from stage import wait_queued
from usage import MEGABYTE, Usage, rss_bytes, slope

RATE = 5000
BACKLOG = 100_000  # caught up before it begins
FLAT = {"rss_mb": ("memory", "MB"), "descriptors": ("descriptors", ""), "threads": ("threads", ""), "backlog": ("backlog", "entries")}


def look(setup, daemon, started):
    process = Path(f"/proc/{daemon.pid}")
    return {
        "second": time.monotonic() - started,
        "rss_mb": rss_bytes(daemon.pid) / MEGABYTE,
        "descriptors": sum(1 for _ in (process / "fd").iterdir()),
        "threads": sum(1 for _ in (process / "task").iterdir()),
        "backlog": backlog(setup),
    }


def course(rows, name):
    """Its growth is that of the second half: by then every buffer has seen its largest burst."""
    values, half = [row[name] for row in rows], rows[len(rows) // 2 :]
    return {
        "first": round(values[0], 1),
        "least": round(min(values), 1),
        "most": round(max(values), 1),
        "last": round(values[-1], 1),
        "second_half_grows_per_hour": round(slope([(row["second"], row[name]) for row in half]) * 3600, 2),
    }


def start(stage, arguments):
    """Under way, with a backlog behind it."""
    setup = stage.fresh("--generate", 0, "--rate", RATE, "--base-time", 0, settings=arguments.settings)
    with held_workers(setup):
        daemon = setup.run("bench", relay__cursor="live")
        wait_queued(setup, daemon, 1)
        wait_queued(setup, daemon, setup.queued() + BACKLOG)
    wait_until(lambda: backlog(setup) < RATE, "it catches up", 120, [daemon.process])
    return setup, daemon


def soak(stage, arguments):
    setup, daemon = start(stage, arguments)
    sample(setup, daemon, WARM_SECONDS)
    usage, first, started, rows = Usage(stage.processes(daemon)), setup.queued(), time.monotonic(), []
    while time.monotonic() - started < arguments.minutes * 60:
        daemon.process.check_alive()
        rows.append(look(setup, daemon, started))
        time.sleep(1)
    seconds, events = time.monotonic() - started, setup.queued() - first
    found = {"minutes": round(seconds / 60, 1), **figures(events, seconds, usage, daemon)}
    assert daemon.terminate() == 0
    if arguments.plot:
        title = f"{events / seconds:,.0f} events a second for {seconds / 60:.0f} minutes"
        plot(arguments.plot, title, [(*words, [(row["second"], row[name]) for row in rows]) for name, words in FLAT.items()])
    yield "soak", found | {name: course(rows, name) for name in FLAT}


SOAK = {"soak": soak}
