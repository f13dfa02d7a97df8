"""Faults of PostgreSQL itself."""
import os
import shutil
import signal
import subprocess
import time

import psycopg

from fault import Fault, fault
from harness.postgres import program
from harness.process import as_user
from harness.waiting import wait_until

CLIENTS = (
    "SELECT {}(pid) FROM pg_stat_activity"
    " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


class PostgresFault(Fault):
    @property
    def cluster(self):
        return self.world.cluster

    def connect(self):
        """Right after a crash it may still recover, or have no slot. What a fault changes back has to outlive the next crash,
        also while the role's commits are asynchronous."""
        wait_until(self.cluster.answers, "PostgreSQL answers", 30)
        return psycopg.connect(self.cluster.conninfo(), autocommit=True, options="-c synchronous_commit=on")

    def execute(self, sql):
        with self.connect() as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def each_client(self, function):
        return len(self.execute(CLIENTS.format(function)))


@fault("PostgreSQL stops, immediate", "postgres", seconds=(0, 4))
class Immediate(PostgresFault):
    def begin(self):
        self.pid = self.cluster.pid
        self.cluster.stop(signal.SIGQUIT)

    def end(self):
        self.world.start_postgres()

    def proof(self):
        return f"pid {self.pid} left" if self.cluster.pid != self.pid else None


@fault("PostgreSQL stops, fast", "postgres", seconds=(0, 3))
class Fast(Immediate):
    def begin(self):
        self.pid = self.cluster.pid
        self.cluster.stop(signal.SIGINT)


@fault("PostgreSQL is killed", "postgres", seconds=(0, 2))
class Kill(Immediate):
    """kill -9 of the postmaster and of all that it forked."""

    def begin(self):
        self.pid = self.cluster.pid
        for pid in self.world.postgres_pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.cluster.process.wait()


@fault("a backend of PostgreSQL is killed", "postgres", seconds=(0, 0))
class KillBackend(PostgresFault):
    """kill -9 of one: the postmaster throws all out and recovers."""

    def begin(self):
        rows = self.execute(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'"
            " AND pid <> pg_backend_pid()"
        )
        self.killed = self.chance.choice(sorted(rows))[0] if rows else None
        if self.killed:
            os.kill(self.killed, signal.SIGKILL)
            time.sleep(0.3)
            self.world.wait(self.cluster.answers, "PostgreSQL recovers", 30)

    def proof(self):
        return f"backend {self.killed}" if self.killed else None


@fault("PostgreSQL forgets commits that were not flushed", "postgres", seconds=(0, 2))
class AsynchronousCommit(Immediate):
    """synchronous_commit is off by role, sessions begin anew under it, some seconds pass, then it
    crashes: whoever did not ask for more has lost what was confirmed."""

    def begin(self):
        self.execute("ALTER ROLE postgres SET synchronous_commit = off")
        self.thrown = self.each_client("pg_terminate_backend")
        time.sleep(self.chance.uniform(2.5, 4))
        super().begin()

    def end(self):
        super().end()
        self.execute("ALTER ROLE postgres RESET synchronous_commit")

    def proof(self):
        return f"{self.thrown} sessions began under it" if self.thrown and super().proof() else None


@fault("PostgreSQL is restored from a backup", "postgres", seconds=(0, 2))
class Restore(Immediate):
    """A backup is taken while it works; some seconds later that is all that is left."""

    def begin(self):
        self.backup = self.world.folder / "backup"
        shutil.rmtree(self.backup, ignore_errors=True)
        self.backup.mkdir()
        shutil.chown(self.backup, "postgres") if os.geteuid() == 0 else None
        command = [program("pg_basebackup"), "-h", self.cluster.folder, "-U", "postgres", "-D", self.backup / "data"]
        command += ["-X", "stream", "-c", "fast", "--no-sync"]
        wait_until(self.cluster.answers, "PostgreSQL answers", 30)
        subprocess.run(as_user("postgres", [str(part) for part in command]), cwd="/", check=True, capture_output=True)
        time.sleep(self.chance.uniform(2.5, 4))
        self.had = self.mark()
        super().begin()
        shutil.rmtree(self.cluster.data)
        shutil.copytree(self.backup / "data", self.cluster.data)
        shutil.rmtree(self.backup)
        self.cluster.own()

    def mark(self):
        rows = self.execute("SELECT epoch, committed FROM standpipe_cursor ORDER BY 1 DESC, 2 DESC LIMIT 1")
        return rows[0] if rows else (0, 0)

    def end(self):
        super().end()
        self.has = self.mark()

    def proof(self):
        return f"mark {self.has} after {self.had}" if super().proof() and self.has != self.had else None


@fault("PostgreSQL is frozen", "postgres", seconds=(2, 6), long=(38, 44))
class Freeze(PostgresFault):
    def begin(self):
        self.pids = self.world.postgres_pids()
        for pid in self.pids:
            try:
                os.kill(pid, signal.SIGSTOP)
            except ProcessLookupError:
                pass  # a background worker has ended meanwhile

    def end(self):
        for pid in self.pids:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass

    def proof(self):
        return f"{len(self.pids)} processes" if self.pids else None


@fault("sessions are terminated", "postgres", seconds=(0, 2))
class Terminate(PostgresFault):
    function = "pg_terminate_backend"

    def begin(self):
        self.count = self.each_client(self.function)

    def end(self):
        self.count += self.each_client(self.function)

    def proof(self):
        return f"{self.count} sessions" if self.count else None


@fault("statements are cancelled", "postgres", seconds=(0, 0))
class Cancel(PostgresFault):
    def begin(self):
        self.seen = 0
        end = time.monotonic() + 10
        with self.connect() as connection:
            while time.monotonic() < end and self.seen < 50:
                rows = connection.execute(
                    CLIENTS.format("pg_cancel_backend") + " AND state <> 'idle'"
                ).fetchall()
                self.seen += len(rows)

    def proof(self):
        return f"{self.seen} statements" if self.seen else None


class Holder(PostgresFault):
    """Keeps a transaction open meanwhile."""

    def begin(self):
        self.connection = self.connect()
        self.connection.autocommit = False
        self.hold()

    def has_bitten(self):
        self.waiting = self.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")[0][0]
        return self.waiting > 0

    def end(self):
        self.has_bitten()
        self.connection.rollback()
        self.connection.close()

    def proof(self):
        return f"{self.waiting} locks waited" if self.waiting else None


@fault("a table is locked", "postgres", seconds=(2, 5), long=(32, 36))
class LockTable(Holder):
    def hold(self):
        self.connection.execute(f"LOCK TABLE {self.chance.choice(['repos', 'standpipe_records'])}")


@fault("another transaction makes deadlocks", "postgres", seconds=(0, 0))
class Deadlocks(PostgresFault):
    """It locks repos against the order of standpipe's own transactions."""

    def deadlocks(self):
        with open(self.cluster.folder.parent / "pg.log", encoding="utf-8", errors="replace") as log:
            return log.read().count("deadlock detected")

    def begin(self):
        before, self.tries = self.deadlocks(), 0
        end = time.monotonic() + 12
        while time.monotonic() < end and self.deadlocks() == before:
            self.try_once()
        self.seen = self.deadlocks() - before

    def try_once(self):
        self.tries += 1
        try:
            with psycopg.connect(self.cluster.conninfo()) as connection:
                rows = connection.execute("SELECT did FROM repos ORDER BY did DESC LIMIT 40").fetchall()
                for (did,) in rows:
                    connection.execute("SELECT FROM repos WHERE did = %s FOR UPDATE", (did,))
                    time.sleep(0.005)
                connection.rollback()
        except psycopg.Error:
            pass

    def proof(self):
        return f"{self.seen} deadlocks" if self.seen else None


@fault("PostgreSQL is read-only", "postgres", seconds=(1, 4))
class ReadOnly(PostgresFault):
    def set(self, value):
        self.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
        self.execute("SELECT pg_reload_conf()")

    def log(self):
        return (self.cluster.folder.parent / "pg.log").read_text(errors="replace").count("read-only transaction")

    def begin(self):
        self.before = self.log()
        self.set("on")

    def has_bitten(self):
        return self.log() > self.before

    def end(self):
        with self.connect() as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
            connection.execute("SELECT pg_reload_conf()")
        self.seen = self.log() - self.before

    def proof(self):
        return f"{self.seen} statements refused" if self.seen else None


@fault("PostgreSQL has no connection left", "postgres", seconds=(2, 4))
class NoConnections(PostgresFault):
    """Others take every slot while ours are thrown out."""

    def begin(self):
        self.taken, self.log_before = [], self.log()
        for _ in range(60):
            try:
                self.taken.append(psycopg.connect(self.cluster.conninfo()))
            except psycopg.OperationalError:
                break
        ours = {connection.info.backend_pid for connection in self.taken}
        connection = self.taken[0]
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'"
        ).fetchall()
        for (pid,) in rows:
            if pid not in ours:
                connection.execute("SELECT pg_terminate_backend(%s)", (pid,))
                try:
                    self.taken.append(psycopg.connect(self.cluster.conninfo()))
                except psycopg.OperationalError:
                    pass

    def log(self):
        text = (self.cluster.folder.parent / "pg.log").read_text(errors="replace")
        return text.count("too many clients") + text.count("remaining connection slots")

    def has_bitten(self):
        return self.log() > self.log_before

    def end(self):
        for connection in self.taken:
            connection.close()
        self.seen = self.log() - self.log_before

    def proof(self):
        return f"{self.seen} refused" if self.seen else None


@fault("a table of PostgreSQL is gone", "postgres", seconds=(1, 3), costs_seconds=30)
class Misconfigured(PostgresFault):
    """Renamed and brought back: the set-up is wrong for a moment (42P01), nothing may be given up."""

    def begin(self):
        self.log_before = self.log()
        self.execute("ALTER TABLE standpipe_records RENAME TO standpipe_away")

    def log(self):
        return (self.cluster.folder.parent / "pg.log").read_text(errors="replace").count("does not exist")

    def has_bitten(self):
        return self.log() > self.log_before

    def end(self):
        self.execute("ALTER TABLE standpipe_away RENAME TO standpipe_records")
        self.seen = self.log() - self.log_before

    def proof(self):
        return f"{self.seen} statements refused" if self.seen else None


@fault("PostgreSQL's disk is full", "postgres", seconds=(2, 5))
class DiskFull(PostgresFault):
    """No table and no WAL can grow: it refuses, or it panics; then it is started again."""

    @classmethod
    def is_possible(cls, world):
        return world.disks["postgres"].is_small

    def begin(self):
        self.disk = self.world.disks["postgres"]
        self.log = self.cluster.folder.parent / "pg.log"
        self.before = self.log.stat().st_size
        self.pids = set(self.world.postgres_pids())
        self.taken = self.disk.fill()

    def end(self):
        self.running = self.cluster.process.is_running()
        self.disk.relieve()
        if not self.running or not self.answers_soon():
            self.world.start_postgres()
        log = self.log.read_bytes()[self.before :].decode(errors="replace")
        self.seen = log.count("No space left") or len(self.pids - set(self.world.postgres_pids()))

    def answers_soon(self):
        end = time.monotonic() + 20
        while time.monotonic() < end and self.cluster.process.is_running():
            if self.cluster.answers():
                return True
            time.sleep(0.1)
        return False

    def proof(self):
        return f"{self.taken >> 20} MiB taken" if self.seen else None
