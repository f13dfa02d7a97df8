"""conf/postgresql-roles.sql: an owner migrates, a writer runs; the writer can do nothing else."""
import subprocess
from pathlib import Path

import psycopg
import pytest

import described
import oracle
from handmade import Create, Repo, Sequence, write_frames
from harness.daemon import Setup
from harness.database import Database
from harness.postgres import program
from harness.process import clean_environment
from harness.waiting import wait_until
from typed_oracle import all_differences

ROLES_FILE = Path(__file__).resolve().parents[2] / "conf" / "postgresql-roles.sql"
BUILT_IN = ROLES_FILE.with_name("tables.conf")
DONE, REFUSED_BY_POSTGRES = 0, "42501"
ENTRY = "com.whtwnd.blog.entry"
BLOG = f"[blog_entries]\ncollection = {ENTRY}\ntitle = text title\n"
RULE = "ALTER TABLE standpipe_records {} CONSTRAINT short"


class LimitedDatabase(Database):
    """standpipe connects as the writer; the test looks as the superuser."""

    def as_role(self, role):
        return f"host={self.cluster.folder} dbname={self.name} user={role}"

    @property
    def conninfo(self):
        return self.as_role("standpipe_writer")

    def query(self, sql, *values):
        return Database(self.cluster, self.name).query(sql, *values)


@pytest.fixture
def limited(standpipe, folder, redis, cluster, database):
    setup = Setup(standpipe, folder, redis, LimitedDatabase(cluster, database.name))
    setup.settings["postgres.migrate"] = "false"
    make_roles(setup)
    yield setup
    setup.stop()
    reports = [text for daemon in setup.daemons if (text := daemon.process.sanitizer_report())]
    assert not reports, "a sanitizer reported:\n" + reports[0][-8000:]


def make_roles(setup, *options):
    where = ["-h", setup.database.cluster.folder, "-U", "postgres", "-d", setup.database.name]
    command = [program("psql"), "-X", "-q", *where, *options, "-f", ROLES_FILE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=clean_environment())
    assert done.returncode == 0 and done.stderr == "", done.stderr


def as_owner(setup, *words):
    owner = {"postgres.url": setup.database.as_role("standpipe_owner")}
    done = setup.command(*words, overrides=owner)
    assert done.returncode == DONE, (words, done.stdout, done.stderr)


def as_writer(setup, *words):
    done = setup.command(*words)
    assert done.returncode == DONE, (words, done.stdout, done.stderr)


def migrate(setup, *options):
    as_owner(setup, "migrate")
    make_roles(setup, *options)


def write_all(setup, sequence):
    daemon = setup.run(relay__cursor="oldest")
    setup.wait_drained(sequence)
    assert daemon.terminate() == DONE


def test_the_writer_writes_records_typed_tables_and_counts(limited, start_relay, generated):
    migrate(limited)
    limited.relay = start_relay(generated.frames)
    write_all(limited, generated.last_sequence)
    assert generated.differences(limited.database) == []
    state = oracle.fold(generated.frames)
    assert all_differences(limited.database, described.tables(BUILT_IN.read_text()), state, state) == []
    before = limited.database.typed()
    limited.database.query("DELETE FROM standpipe_likes")
    as_owner(limited, "rebuild", "all")
    assert limited.database.typed() == before


def test_the_commands_of_an_operator_run_as_the_writer(limited, start_relay, folder):
    migrate(limited)
    limited.database.query(RULE.format("ADD") + " CHECK (length(record::text) < 100)")
    repo = Repo(Sequence(), "did:plc:" + "a" * 24)
    frames = [repo.commit(Create(f"{ENTRY}/long", {"title": "a" * 500})), b"\xff", repo.identity("somebody.test")]
    limited.relay = start_relay(write_frames(frames, folder / "refused.bin"))
    daemon = limited.run(relay__cursor="oldest")
    letters = "SELECT count(*) FROM standpipe_dead_letters WHERE mirror_id IS NOT NULL"
    wait_until(lambda: limited.database.scalar(letters) == 2, "both letters are mirrored", 30, [daemon.process])
    limited.database.query(RULE.format("DROP"))
    as_writer(limited, "dead", "list")
    as_writer(limited, "dead", "retry", "--reason", "refused by PostgreSQL")
    as_writer(limited, "dead", "drop", "--since", "1h")
    assert limited.database.scalar("SELECT count(*) FROM standpipe_dead_letters") == 0
    assert daemon.terminate() == DONE
    limited.database.query("DELETE FROM standpipe_records")
    as_writer(limited, "replay", "--from", "0-0")
    assert limited.database.scalar("SELECT count(*) FROM records") == 1
    as_writer(limited, "cursor", "set", "7")
    as_writer(limited, "check-config", "--connect")


def test_a_table_of_a_later_migration_needs_no_new_right(limited, start_relay, folder):
    migrate(limited)
    (folder / "tables.conf").write_text(BUILT_IN.read_text() + BLOG)
    limited.settings["postgres.tables_file"] = str(folder / "tables.conf")
    as_owner(limited, "migrate")
    repo = Repo(Sequence(), "did:plc:" + "a" * 24)
    frames = [repo.commit(Create(f"{ENTRY}/1", {"title": "first"}))]
    limited.relay = start_relay(write_frames(frames, folder / "blog.bin"))
    write_all(limited, 1)
    assert limited.database.query("SELECT title FROM blog_entries") == [("first",)]


def test_another_schema_has_the_same_rights(limited, start_relay, generated):
    limited.settings["postgres.schema"] = "fire_hose"
    make_roles(limited, "-v", "schema=fire_hose")
    migrate(limited, "-v", "schema=fire_hose")
    limited.relay = start_relay(generated.frames)
    write_all(limited, generated.last_sequence)
    live = sum(1 for _ in generated.truth().rows)
    assert limited.database.scalar("SELECT count(*) FROM fire_hose.records") == live
    assert not limited.database.has("public.standpipe_records")


FORBIDDEN = [
    "CREATE TABLE mine (n int)",
    "CREATE TEMPORARY TABLE mine (n int)",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "DROP TABLE standpipe_likes",
    "ALTER TABLE repos ADD COLUMN mine int",
    "ALTER VIEW records RENAME TO mine",
    "CREATE INDEX ON repos (handle)",
    "TRUNCATE standpipe_records",
    "INSERT INTO standpipe_migrations (step, name) VALUES (99, 'x')",
    "DELETE FROM standpipe_tables",
    "SELECT * FROM somebody.secrets",
    "SET ROLE standpipe_owner",
    "CREATE ROLE mine",
    "CREATE DATABASE mine",
    "COPY repos TO PROGRAM 'cat'",
    "COPY repos FROM '/etc/passwd'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_reload_conf()",
    "ALTER SYSTEM SET fsync = off",
]


def test_the_writer_can_do_nothing_else(limited):
    migrate(limited)
    limited.database.query("CREATE SCHEMA somebody; CREATE TABLE somebody.secrets (n int)")
    for sql in FORBIDDEN:
        with psycopg.connect(limited.database.conninfo, autocommit=True) as writer:
            with pytest.raises(psycopg.errors.InsufficientPrivilege) as refusal:
                writer.execute(sql)
        assert refusal.value.sqlstate == REFUSED_BY_POSTGRES, sql


def test_a_writer_is_told_that_the_schema_is_missing(limited):
    daemon = limited.run(relay__url="ws://127.0.0.1:9")
    wait_until(lambda: "misconfigured" in daemon.get("/readyz")[1], "readiness says it", 30, [daemon.process])
    daemon.process.wait_for_line("run `standpipe migrate`")
    assert daemon.terminate() == DONE
    done = limited.command("migrate")
    assert done.returncode == 1 and "permission denied" in done.stderr
