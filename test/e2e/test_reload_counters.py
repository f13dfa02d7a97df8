"""Counters are those of the process: a reload closes parts that count, and no counter goes back for it."""
import signal

from harness.waiting import wait_until

PAUSED = "standpipe_relay_paused_seconds_total"
EMPTY = 'standpipe_decode_errors_total{reason="empty"}'
RECONNECTS = "standpipe_relay_reconnects_total"
LANE_WAIT = "standpipe_lane_wait_seconds_total"
BYPASSES = "standpipe_lane_bypasses_total"


class Counters:
    """Every counter of the page, compared with the look before; the ledger is the stream's."""

    def __init__(self, daemon):
        self.daemon, self.before, self.fallen = daemon, {}, []

    def look(self):
        status, page = self.daemon.get("/metrics")
        kinds = dict(line.split()[2:4] for line in page.splitlines() if line.startswith("# TYPE "))
        counters = [name for name, kind in kinds.items() if kind == "counter" and "_ledger_" not in name]
        for name, value in self.values(page, counters):
            if value < self.before.get(name, 0):
                self.fallen.append((name, self.before[name], value))
            self.before[name] = value
        return status == 200

    def values(self, page, counters):
        for line in page.splitlines():
            name, _, value = line.rpartition(" ")
            if name.partition("{")[0] in counters:
                yield name, float(value)

    def reload(self, seconds=60, **changes):
        """Looks all the while, and once more at the end."""
        before = self.daemon.verdicts()
        self.daemon.file.set(**changes)
        self.daemon.process.send(signal.SIGHUP)
        wait_until(
            lambda: self.look() and self.daemon.verdicts() > before, "the verdict", seconds, [self.daemon.process]
        )
        assert not self.daemon.api()["reload"]["wasRefused"], self.daemon.api()["reload"]
        assert self.look()
        assert self.fallen == []


def shown_ops(daemon):
    collections = daemon.api()["collections"]
    return sum(item["ops"] for item in collections["items"]) + collections["other"]


def test_no_counter_goes_back_when_the_ingester_is_made_anew(setup, start_relay, generated):
    """The relay sends garbage and drops its clients; PostgreSQL holds the batches, so that reading pauses first, and the
    process is without an ingester for as long as the workers drain."""
    setup.relay = start_relay(generated.frames, "--rate", 300, "--garbage", 100, "--drop-after", 150)
    assert setup.command("migrate").returncode == 0
    daemon = setup.run_from_file(relay__cursor="oldest", stream__max_backlog=100, shutdown__timeout_ms=4000).wait_ready()
    counters = Counters(daemon)
    with setup.database.connect() as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE repos IN ACCESS EXCLUSIVE MODE")
        wait_until(lambda: counters.look() and counters.before[PAUSED] > 0.5, "reading pauses", 60, [daemon.process])
        before = shown_ops(daemon)
        counters.reload(relay__verify="none", postgres__batch_bytes="1 MiB")
        other.execute("ROLLBACK")
    wait_until(
        lambda: counters.look() and all(counters.before[name] > 1 for name in (EMPTY, RECONNECTS)),
        lambda: f"garbage and reconnects ({counters.before})",
        60,
        [daemon.process],
    )
    assert shown_ops(daemon) >= before > 0
    counters.reload(relay__verify="blocks")
    before = shown_ops(daemon)
    counters.reload(ingest__mode="never")  # what was counted stays where nothing is read any more
    assert shown_ops(daemon) >= before
    assert counters.before[EMPTY] > 1 and counters.before[PAUSED] > 0.5
    assert daemon.terminate() == 0


def test_waiting_for_lanes_is_counted_and_goes_on(setup, start_relay, generated):
    """All transactions hang; there are more connections than lanes and more batches than both, so that some wait for lanes
    and go without. The reload makes the workers anew."""
    setup.relay = start_relay(generated.frames, "--rate", 300)
    assert setup.command("migrate").returncode == 0
    daemon = setup.run_from_file(
        relay__cursor="oldest", workers__threads=1, workers__pipelines=64, postgres__connections=20, shutdown__timeout_ms=4000
    ).wait_ready()
    counters = Counters(daemon)
    with setup.database.connect() as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE repos IN ACCESS EXCLUSIVE MODE")
        wait_until(
            lambda: counters.look() and counters.before[LANE_WAIT] > 0 and counters.before[BYPASSES] > 0,
            lambda: f"parts without their lanes ({counters.before[LANE_WAIT]}, {counters.before[BYPASSES]})",
            60,
            [daemon.process],
        )
        counters.reload(postgres__batch_bytes="1 MiB")
        other.execute("ROLLBACK")
    setup.wait_drained(generated.last_sequence)
    assert counters.look() and counters.fallen == []
    assert daemon.terminate() == 0


def test_rows_by_table_go_on_when_tables_are_described_anew(setup, start_relay, generated, folder):
    """Each table is named by what the workers were opened with, also while they drain with the new description read."""
    tables = folder / "tables.conf"
    posts = "[posts]\ncollection = app.bsky.feed.post\ntext = text text\n"
    others = "[others]\ncollection = app.bsky.feed.aaa\nx = text x\n"  # it sorts before
    tables.write_text(posts)
    setup.relay = start_relay(generated.frames, "--rate", 500)
    daemon = setup.run_from_file(relay__cursor="oldest", postgres__tables_file=tables, shutdown__timeout_ms=4000)
    daemon.wait_ready()
    counters = Counters(daemon)
    name = 'standpipe_rows_total{table="posts",outcome="written"}'
    wait_until(lambda: counters.look() and counters.before[name] > 10, "posts are written", 60, [daemon.process])
    tables.write_text(others + posts)
    counters.reload()
    setup.wait_drained(generated.last_sequence)
    assert counters.look() and counters.fallen == []
    assert counters.before[name] >= setup.database.scalar("SELECT count(*) FROM posts") > 10
    assert daemon.terminate() == 0
