"""What HTTP costs: a scrape, and windows of one run in which the daemon is left alone, scraped or attacked.

The noise is measured beside it: windows that are left alone too, taken and judged like the others.
"""
import json
import statistics
import subprocess
import sys
import time

from stage import ROOT, clean_environment
from usage import own_cpu

from harness.waiting import wait_until

SCRAPES = 2000
WINDOW_SECONDS = 3.0
PER_SECOND = 10  # scrapes in a window; Prometheus makes one in some seconds
KINDS = ("ingest", "commits")  # of rates, as watch() gives them
ATTACKER = ROOT / "test" / "e2e" / "harness" / "attacker.py"
ATTACKS = {"slowloris": 400, "flood": 10_000, "pipeline": 20, "oversize": 100, "readers": 60}


def scrape_cost_ms(daemon):
    """CPU of the daemon for one page of metrics, while it has nothing else to do."""
    before = own_cpu(daemon.pid, False)
    for _ in range(SCRAPES):
        assert daemon.get("/metrics")[0] == 200
    return 1000 * (own_cpu(daemon.pid, False) - before) / SCRAPES


def committed(setup):
    """Entries that are written and acknowledged, by the ledger."""
    return int(setup.stream().hget("firehose:events:ledger", "committed") or 0)


def watch(setup, work):
    """Events a second that (reach the stream, are committed) while `work` is done over and over."""
    queued, done, started = setup.queued(), committed(setup), time.monotonic()
    while time.monotonic() - started < WINDOW_SECONDS:
        work()
    seconds = time.monotonic() - started
    return (setup.queued() - queued) / seconds, (committed(setup) - done) / seconds


def rest():
    time.sleep(0.1)


def scraping(daemon):
    def work():
        daemon.get("/metrics")
        time.sleep(1 / PER_SECOND)

    return work


def attacked(setup, daemon, kind, count):
    """The attacker has the lowest priority: what it takes of the machine itself is not the daemon's to bear."""
    port = daemon.settings["http.listen"].rpartition(":")[2]
    command = ["nice", "-n", "19", sys.executable, ATTACKER, kind, port, str(WINDOW_SECONDS + 1), str(count)]
    attacker = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, env=clean_environment())
    time.sleep(0.5)  # it is at full strength by then
    rate = watch(setup, rest)
    assert json.loads(attacker.communicate()[0])["opened"] > 0
    return rate


def busy_seconds(daemon):
    """What HTTP took of thread 0 so far; after a flood it takes a moment until one is let in and not told 503."""
    wait_until(lambda: daemon.get("/metrics")[0] == 200, "a page", 30, [daemon.process])
    return daemon.metrics()["standpipe_http_busy_seconds_total"]


def share_of_thread(daemon, busy, started):
    return (busy_seconds(daemon) - busy) / (time.monotonic() - started)


def ratio(rates, before, after):
    """Of each rate to its mean in the quiet windows before and after: a slow minute of the machine hits all three."""
    return [2 * rate / max(1.0, first + second) for rate, first, second in zip(rates, before, after)]


def windows(setup, daemon, rounds):
    """name -> [([ratio of the ingest, of the commits], share of thread 0)], and the rates of the quiet windows.
    `quiet` is a window like its neighbours: what it strays from 1 is the noise."""
    works = {"quiet": lambda: watch(setup, rest), "scraped": lambda: watch(setup, scraping(daemon))}
    for kind, count in ATTACKS.items():
        works[kind] = lambda kind=kind, count=count: attacked(setup, daemon, kind, count)
    found, quiet = {name: [] for name in works}, [watch(setup, rest)]
    for _ in range(rounds):
        for name, work in works.items():
            busy, started = busy_seconds(daemon), time.monotonic()
            rates = work()
            share = share_of_thread(daemon, busy, started)
            quiet.append(watch(setup, rest))
            found[name].append((ratio(rates, quiet[-2], quiet[-1]), share))
    return found, quiet


def summary(found, quiet, kinds):
    """Of `kinds` of rates the medians, the spread, and who is slower than any window that nobody touched."""
    figures = {"events_per_second_quiet": round(statistics.median(rate for _, rate in quiet))}
    for what in kinds:
        ratios = {name: [row[0][KINDS.index(what)] for row in rows] for name, rows in found.items()}
        medians = {name: round(statistics.median(rows), 3) for name, rows in ratios.items()}
        figures |= {
            f"{what}_ratio_to_quiet": medians,
            f"{what}_least_and_most": {name: f"{min(rows):.2f} {max(rows):.2f}" for name, rows in ratios.items()},
            f"{what}_slower_than_noise": [name for name, median in medians.items() if median < min(ratios["quiet"])],
        }
    shares = {name: [share for _, share in rows] for name, rows in found.items()}
    return figures | {"percent_of_thread_0": {name: round(100 * statistics.median(rows), 2) for name, rows in shares.items()}}
