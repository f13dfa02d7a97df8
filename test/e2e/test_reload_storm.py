"""A thousand SIGHUPs under load, with files that change and files that are bad: nothing lost, nothing twice, nothing grows."""
import random
import signal

import psutil

from harness.journal import start_journal, written_twice
from harness.process import is_sanitized
from harness.waiting import wait_until

SIGNALS = 1000
SEED = 20261
SETTLED = 100  # by then every kind of change was made several times
MEMORY_SLACK = 24 * 1024 * 1024

GOOD = {
    "workers__batch_size": (50, 100, 300),
    "workers__pipelines": (1, 2, 3),
    "workers__claim_interval_ms": (300, 500),
    "postgres__connections": (2, 4, 5),
    "postgres__prepared": ("auto", "false"),
    "relay__idle_timeout_ms": (20000, 30000),
    "relay__verify": ("none", "blocks"),
    "ingest__lease_ms": (800, 1000),
    "stream__max_length": (10000, 500000),
    "stream__max_backlog": (100000, 500000),
    "alerts__interval_ms": (500, 10000),
    "log__level": ("info", "debug"),
    "log__format": ("text", "json", "logfmt"),
}
BAD = (
    "[workers]\nbatch_size = 0\n",
    "[nothing]\nx = 1\n",
    "[relay\n",
    "",  # no redis.url: the default's Redis is not there
    "\0\0\0",
)


def change(file, chance):
    """One in ten is bad, one in ten is gone, one in ten is as it was."""
    kind = chance.randrange(10)
    if kind == 0:
        file.write_text(chance.choice(BAD) + "[redis]\nurl = redis://127.0.0.1:1\n")
    elif kind == 1:
        file.path.unlink(missing_ok=True)
    elif kind == 2:
        file.write()
    else:
        key = chance.choice(sorted(GOOD))
        file.set(**{key: chance.choice(GOOD[key])})


def usage(daemon):
    process = psutil.Process(daemon.pid)
    return process.num_fds(), process.num_threads(), process.memory_info().rss


def settle(daemon):
    """The configuration of the beginning, so that figures can be compared."""
    for key in GOOD:
        daemon.file.values.pop(key.replace("__", "."), None)
    daemon.file.set(workers__pipelines=2, workers__claim_interval_ms=500, ingest__lease_ms=1000)
    verdict = daemon.reload(seconds=60)
    assert not verdict["wasRefused"], verdict
    daemon.wait_ready()


def storm(daemon, chance, count):
    """Every other signal does not wait for the verdict of the one before."""
    for number in range(count):
        before = daemon.verdicts()
        change(daemon.file, chance)
        daemon.process.send(signal.SIGHUP)
        if number % 2 == 0:
            wait_until(lambda: daemon.verdicts() > before, "a verdict", 60, [daemon.process])


def test_a_thousand_reloads_under_load_lose_nothing_and_leave_nothing_behind(setup, start_relay, generated, standpipe):
    chance = random.Random(SEED)
    setup.relay = start_relay(generated.frames, "--rate", 30)
    assert setup.command("migrate").returncode == 0
    start_journal(setup.database)
    daemon = setup.run_from_file(relay__cursor="oldest").wait_ready()
    storm(daemon, chance, SETTLED)
    settle(daemon)
    descriptors, threads, memory = usage(daemon)
    storm(daemon, chance, SIGNALS - SETTLED)
    settle(daemon)
    wait_until(lambda: usage(daemon)[0] <= descriptors, lambda: f"descriptors as before ({usage(daemon)[0]}, {descriptors})", 30)
    after = usage(daemon)
    assert after[1] == threads
    if not is_sanitized(standpipe):  # a sanitizer keeps what was freed
        assert after[2] < memory + MEMORY_SLACK, (memory, after[2])
    assert daemon.process.text().count("reload refused") > 50
    setup.wait_drained(generated.last_sequence, 120)
    assert daemon.terminate() == 0
    assert generated.differences(setup.database) == []
    assert written_twice(setup.database) == []
    assert setup.database.query("SELECT * FROM standpipe_dead_letters") == []
