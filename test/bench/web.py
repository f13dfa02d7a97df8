"""What HTTP costs: a scrape, and windows of one run in which the daemon is left alone, scraped or attacked."""
import json
import subprocess
import sys
import time

from stage import ROOT, clean_environment
from usage import own_cpu

from harness.waiting import wait_until

SCRAPES = 2000
WINDOW_SECONDS = 3.0
PER_SECOND = 10  # scrapes in a window; Prometheus makes one in some seconds
ATTACKER = ROOT / "test" / "e2e" / "harness" / "attacker.py"
ATTACKS = {"slowloris": 400, "flood": 10_000, "pipeline": 20, "oversize": 100, "readers": 60}


def scrape_cost_ms(daemon):
    """CPU of the daemon for one page of metrics, while it has nothing else to do."""
    before = own_cpu(daemon.pid, False)
    for _ in range(SCRAPES):
        assert daemon.get("/metrics")[0] == 200
    return 1000 * (own_cpu(daemon.pid, False) - before) / SCRAPES


def watch(setup, work):
    """Events a second that reach the stream while `work` is done over and over."""
    first, started = setup.queued(), time.monotonic()
    while time.monotonic() - started < WINDOW_SECONDS:
        work()
    return (setup.queued() - first) / (time.monotonic() - started)


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
    """What HTTP took of thread 0 so far; after a flood it takes a moment until one is let in."""
    return wait_until(lambda: daemon.metrics().get("standpipe_http_busy_seconds_total"), "a page", 30, [daemon.process])


def windows(setup, daemon, rounds):
    """name -> [(rate to that of the quiet windows before and after, share of thread 0)]; a slow minute hits all three."""
    works = {"quiet": lambda: watch(setup, rest), "scraped": lambda: watch(setup, scraping(daemon))}
    for kind, count in ATTACKS.items():
        works[kind] = lambda kind=kind, count=count: attacked(setup, daemon, kind, count)
    found, quiet = {name: [] for name in works}, [watch(setup, rest)]
    for _ in range(rounds):
        for name, work in works.items():
            busy, started = busy_seconds(daemon), time.monotonic()
            rate = work()
            share = (busy_seconds(daemon) - busy) / (time.monotonic() - started)
            quiet.append(watch(setup, rest))
            found[name].append((2 * rate / (quiet[-2] + quiet[-1]), share))
    return found, quiet
