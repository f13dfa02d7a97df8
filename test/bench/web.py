"""What HTTP costs: a scrape, and windows of one run in which the daemon is left alone, scraped or attacked."""
import json
import subprocess
import sys
import time

from stage import ROOT, clean_environment
from usage import own_cpu

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
    port = daemon.settings["http.listen"].rpartition(":")[2]
    command = [sys.executable, ATTACKER, kind, port, str(WINDOW_SECONDS + 1), str(count)]
    attacker = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, env=clean_environment())
    time.sleep(0.5)  # it is at full strength by then
    rate = watch(setup, rest)
    assert json.loads(attacker.communicate()[0])["opened"] > 0
    return rate


def windows(setup, daemon, rounds):
    """Rates by what was done; each round has all of them, so that a slow minute hits all alike."""
    rates = {name: [] for name in ("quiet", "scraped", *ATTACKS)}
    for _ in range(rounds):
        rates["quiet"].append(watch(setup, rest))
        rates["scraped"].append(watch(setup, scraping(daemon)))
        for kind, count in ATTACKS.items():
            rates[kind].append(attacked(setup, daemon, kind, count))
        rates["quiet"].append(watch(setup, rest))
        daemon.process.check_alive()
    return rates
