"""Counters are those of the process: a reload closes parts that count, and no counter goes back for it."""
import signal

from harness.waiting import wait_until


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
