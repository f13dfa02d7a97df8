"""From the moment that the relay lets a frame out to PostgreSQL's own commit time of its row, at the rates of the live network, of a surge, and of a catch-up."""
import bisect
import statistics
import time

from stage import wait_queued
from usage import MEGABYTE, Usage, medians, rss_bytes

FRAMES = 60_000
WARM_SECONDS = 2
MOST_SECONDS = 15

COMMITS = """
SELECT seq, extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000 FROM standpipe_records
"""


def read_log(path):
    """[(frames out, ms since 1970)]; the last line may be half of one."""
    with open(path, encoding="ascii") as file:
        lines = [line.split() for line in file.read().split("\n")[:-1]]
    return [(int(out), int(time_us) / 1000) for out, time_us in lines]


def latencies(setup, log, since_ms):
    """Milliseconds of each live row whose frame was let out after `since_ms`. A row that a later frame wrote again
    counts for that frame."""
    outs, times = zip(*log)
    found = []
    for sequence, committed_ms in setup.database.query(COMMITS):
        released_ms = times[bisect.bisect_left(outs, sequence)]
        if released_ms >= since_ms:
            found.append(float(committed_ms) - released_ms)
    return sorted(found)


def quantile(found, share):
    return round(found[min(len(found) - 1, int(len(found) * share))], 2)


def measure(stage, rate, settings):
    """One run: figures of the seconds between the warm-up and the last frame."""
    seconds = min(MOST_SECONDS, FRAMES // rate - 1)
    log = stage.folder / f"release-{stage.runs}.log"
    count = rate * (seconds + WARM_SECONDS + 1)
    frames = stage.frames(min(count, FRAMES))
    setup = stage.fresh("--file", frames, "--rate", rate, "--release-log", log, settings=settings)
    daemon = setup.run("bench", relay__cursor="oldest")
    wait_queued(setup, daemon, 1)
    time.sleep(WARM_SECONDS)
    usage, began, first = Usage(stage.processes(daemon)), time.time(), setup.queued()
    time.sleep(max(1, seconds - WARM_SECONDS - 1))
    events, lasted, cpu = setup.queued() - first, time.time() - began, usage.seconds()
    rss = rss_bytes(daemon.pid)
    setup.wait_drained(setup.queued())
    assert daemon.terminate() == 0
    stage.relay.stop()
    found = latencies(setup, read_log(log), began * 1000)
    return {
        "events_per_second": round(events / lasted),
        "rows": len(found),
        "p50_ms": quantile(found, 0.5),
        "p99_ms": quantile(found, 0.99),
        "p999_ms": quantile(found, 0.999),
        "mean_ms": round(statistics.fmean(found), 2),
        "cpu_percent_of_a_core": {name: round(100 * value / lasted, 1) for name, value in cpu.items()},
        "cpu_us_per_event": {name: round(value * 1e6 / events, 1) for name, value in cpu.items()},
        "rss_mb": round(rss / MEGABYTE, 1),
    }


def latency(stage, arguments):
    for rate in map(int, arguments.rates.split(",")):
        runs = [measure(stage, rate, arguments.settings) for _ in range(arguments.runs)]
        yield f"latency-{rate}", {**medians(runs), "runs": len(runs)}
