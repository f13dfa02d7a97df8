"""The command line as an operator meets it: exit codes, errors, names of the environment."""
import json
import re
from pathlib import Path

import pytest

from handmade import Create, Repo, Sequence, write_frames
from harness.process import free_port

DONE, FAILED, USAGE, UNREACHABLE = 0, 1, 2, 3
COMMANDS = ["run", "check-config", "migrate", "status", "dead", "replay", "cursor", "reload", "tail"]
COMMANDS += ["decode", "rebuild", "version", "help"]
SOURCES = Path(__file__).resolve().parents[2] / "src" / "cli"
ERROR = re.compile(r"^standpipe: [^:]+: .+: .+$")


def needs(command):
    """A parameter that is skipped while this tree has no such command."""
    is_there = (SOURCES / f"{command.replace('-', '_')}.c").exists()
    return pytest.param(command, marks=pytest.mark.skipif(not is_there, reason=f"no {command} yet"))


def bare(setup, *words, **options):
    return setup.command(*words, configured=False, **options)


def assert_error(done, code):
    """One line on stderr: what, why, what to do."""
    assert done.returncode == code, (done.stdout, done.stderr)
    assert ERROR.match(done.stderr.strip().splitlines()[-1]), done.stderr


@pytest.mark.parametrize("words", [["version"], ["--version"], ["help"], ["--help"], ["-h"]])
def test_version_and_help_answer(setup, words):
    done = bare(setup, *words)
    assert done.returncode == DONE and "standpipe" in done.stdout and not done.stderr


@pytest.mark.parametrize("command", map(needs, COMMANDS))
def test_every_command_has_help(setup, command):
    done = bare(setup, command, "--help")
    assert done.returncode == DONE and command in done.stdout


WRONG = [["frobnicate"], ["run", "--frobnicate"], ["decode"], ["migrate", "unexpected"]]
WRONG += [["run", "--set", "nonsense"], ["run", "--set", "relay.nonsense=1"]]
WRONG += [["run", "-c", "/nonexistent/standpipe.conf"]]


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_wrong_usage_exits_2(setup, words):
    done = bare(setup, *words)
    assert_error(done, USAGE)


def test_a_file_that_is_not_there_is_told_with_what_to_do(setup):
    done = bare(setup, "run", "-c", "/nonexistent/standpipe.conf")
    assert_error(done, USAGE)
    assert done.stderr.endswith(": give a readable file\n")


def test_no_command_at_all_shows_the_usage_and_exits_2(setup):
    done = bare(setup)
    assert done.returncode == USAGE and "check-config" in done.stderr


BAD_VALUES = ["relay.url=http://x", "relay.cursor=yesterday", "workers.batch_size=0", "log.level=loud"]
BAD_VALUES += ["http.listen=nowhere", "relay.max_frame_bytes=-1", "redis.url=ftp://x"]


@pytest.mark.parametrize("setting", BAD_VALUES)
def test_a_bad_value_is_named_with_its_key(setup, setting):
    done = bare(setup, "check-config", "--set", setting)
    assert done.returncode == FAILED
    key, value = setting.split("=", 1)
    assert key in done.stderr and value in done.stderr
    assert ERROR.match(done.stderr.strip()), done.stderr


def test_an_error_of_a_file_names_file_line_and_key(setup, folder):
    path = folder / "bad.conf"
    path.write_text("[relay]\n; comment\nurl = ws://127.0.0.1:1\n\n[workers]\nbatch_size = many\n")
    done = bare(setup, "check-config", "-c", path)
    assert done.returncode == FAILED
    assert f"{path}:6" in done.stderr and "workers.batch_size" in done.stderr


def printed(setup, *words, environment=None):
    done = bare(setup, "check-config", "--print", *words, environment=environment)
    assert done.returncode == DONE, done.stderr
    return done.stdout


def value_of(text, key):
    """The line of one key: `section.key = value` or the like."""
    lines = [line for line in text.splitlines() if re.match(rf"\s*{re.escape(key)}\b", line)]
    assert len(lines) == 1, f"{key} in:\n{text}"
    return lines[0]


def test_later_sources_win(setup, folder):
    path = folder / "ok.conf"
    path.write_text("[workers]\nbatch_size = 11\n")
    environment = {"STANDPIPE_WORKERS_BATCH_SIZE": "22"}
    assert "11" in value_of(printed(setup, "-c", path), "workers.batch_size")
    assert "22" in value_of(printed(setup, "-c", path, environment=environment), "workers.batch_size")
    text = printed(setup, "-c", path, "--set", "workers.batch_size=33", environment=environment)
    assert "33" in value_of(text, "workers.batch_size")


REFERENCE_NAMES = {
    "RELAY_URL": ("relay.url", "wss://relay.example"),
    "REDIS_STREAM_KEY": ("stream.key", "other:events"),
    "REDIS_CONSUMER_GROUP": ("stream.group", "other-group"),
    "REDIS_MAX_STREAM_LEN": ("stream.max_length", "4321"),
    "REDIS_MAX_DELIVERIES": ("workers.max_deliveries", "17"),
    "PARALLEL_CONSUMERS": ("workers.pipelines", "3"),
    "BATCH_SIZE": ("workers.batch_size", "123"),
    "PORT": ("http.listen", "5123"),
    "LOG_LEVEL": ("log.level", "debug"),
    "CONSUMER_ID": ("workers.consumer_id", "me-1"),
}


@pytest.mark.parametrize("name", REFERENCE_NAMES)
def test_the_reference_systems_names_work(setup, name):
    key, value = REFERENCE_NAMES[name]
    assert value in value_of(printed(setup, environment={name: value}), key)


def test_a_secret_comes_from_a_file_and_is_masked(setup, folder):
    secret = folder / "url"
    secret.write_text("postgresql://user:open-sesame@db.example/standpipe\n")
    text = printed(setup, environment={"STANDPIPE_POSTGRES_URL_FILE": str(secret)})
    line = value_of(text, "postgres.url")
    assert "db.example" in line and "open-sesame" not in text


def test_an_xrpc_path_is_added_once(setup):
    path = "/xrpc/com.atproto.sync.subscribeRepos"
    for url in ("wss://relay.example", "wss://relay.example/", f"wss://relay.example{path}"):
        line = value_of(printed(setup, "--set", f"relay.url={url}"), "relay.url")
        assert line.count("subscribeRepos") == 1


def test_migrate_shows_then_creates_then_changes_nothing(setup):
    shown = setup.command("migrate", "--dry-run")
    assert shown.returncode == DONE and "CREATE TABLE" in shown.stdout.upper()
    assert setup.database.scalar("SELECT to_regclass('repos')") is None
    assert setup.command("migrate").returncode == DONE
    steps = setup.database.query("SELECT * FROM standpipe_migrations ORDER BY 1")
    assert steps
    assert setup.command("migrate").returncode == DONE
    assert setup.database.query("SELECT * FROM standpipe_migrations ORDER BY 1") == steps
    assert "CREATE TABLE" not in setup.command("migrate", "--dry-run").stdout.upper()


def test_a_schema_newer_than_itself_is_refused(setup):
    assert setup.command("migrate").returncode == DONE
    columns = setup.database.query(
        "SELECT column_name FROM information_schema.columns"
        " WHERE table_name = 'standpipe_migrations' ORDER BY ordinal_position"
    )
    first = columns[0][0]
    others = ", ".join(name for (name,) in columns[1:])
    setup.database.query(
        f"INSERT INTO standpipe_migrations ({first}, {others})"
        f" SELECT {first} + 1000, {others} FROM standpipe_migrations LIMIT 1"
    )
    assert_error(setup.command("migrate"), FAILED)


def test_a_user_without_rights_gets_one_line_and_the_remedy(setup):
    setup.database.query("CREATE ROLE standpipe_without_rights LOGIN")
    try:
        url = f"{setup.database.conninfo} user=standpipe_without_rights"
        done = setup.command("migrate", overrides={"postgres.url": url, "postgres.schema": "not_there_yet"})
    finally:
        setup.database.query("DROP ROLE standpipe_without_rights")
    assert_error(done, FAILED)
    assert done.stderr.count("\n") == 1 and "permission denied" in done.stderr, done.stderr
    assert done.stderr.endswith(": check postgres.url and the rights of its user\n")


AWAY = {
    "migrate": "postgres.url=host=/nonexistent dbname=x",
    "tail": "redis.url=unix:///nonexistent/redis.sock",
    "status": "redis.url=unix:///nonexistent/redis.sock",
}


@pytest.mark.parametrize("command", map(needs, AWAY))
def test_a_dependency_that_is_away_exits_3(setup, command):
    key, value = AWAY[command].split("=", 1)
    nobody = f"127.0.0.1:{free_port()}"  # at the default port the machine's own may answer
    done = setup.command(command, overrides={key: value, "http.listen": nobody})
    assert_error(done, UNREACHABLE)
    assert key in done.stderr or command == "status", "what to check is named"


def test_check_config_connects_where_asked(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    done = setup.command("check-config", "--connect")
    assert done.returncode == DONE, done.stderr
    done = setup.command("check-config", "--connect", overrides={"redis.url": "unix:///nonexistent/s"})
    assert done.returncode in (FAILED, UNREACHABLE)


def test_tail_prints_the_stream_as_json_lines(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    daemon = setup.run(relay__cursor="oldest")
    setup.wait_drained(generated.last_sequence)
    assert daemon.terminate() == 0
    done = setup.command("tail", "--from", "0-0")
    assert done.returncode == DONE, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(generated.events)


def test_decode_reads_standard_input_and_names_what_it_cannot_read(setup, folder):
    repo = Repo(Sequence(), "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")
    path = write_frames([repo.commit(Create("com.example.x/a", {"n": 1}))], folder / "one.bin")
    assert bare(setup, "decode", path).stdout.count("\n") == 1
    assert_error(bare(setup, "decode", folder / "nothing.bin"), FAILED)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_is_not_utf8_is_refused(setup, start_relay, generated, cluster, encoding):
    name = f"{setup.database.name}_{encoding.lower()}"
    cluster.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    setup.relay = start_relay(generated.frames)
    other = {"postgres.url": cluster.conninfo(name)}
    try:
        for words in (["migrate"], ["migrate", "--dry-run"], ["check-config", "--connect"]):
            done = setup.command(*words, overrides=other)
            assert_error(done, FAILED)
            assert encoding in done.stderr and "CREATE DATABASE" in done.stderr
        daemon = setup.run(postgres__url=other["postgres.url"], relay__cursor="oldest")
        daemon.process.wait_for_line(f"is {encoding} and has to be UTF8")
        assert daemon.get("/readyz")[0] == 503
        assert daemon.terminate() == 0
    finally:
        cluster.drop_database(name)


@pytest.mark.parametrize("page", ["standpipe.1", "standpipe.conf.5"])
def test_a_manual_page_has_every_command_or_every_key(setup, page):
    manual = bare(setup, "help", page).stdout
    assert manual.startswith(".TH STANDPIPE")
    if page == "standpipe.1":
        wanted = re.findall(r"^  ([a-z][a-z-]*) ", bare(setup, "help").stdout, re.M)
        found = re.findall(r'^\.SS "standpipe ([a-z\\-]+) ', manual, re.M)
    else:
        wanted = re.findall(r"^\| `(\w+)` \|", bare(setup, "help", "configuration").stdout, re.M)
        found = re.findall(r"^\.B (\w+)$", manual, re.M)
    assert wanted and [name.replace("\\", "") for name in found] == wanted


def test_version_tells_every_library(setup):
    versions = json.loads(bare(setup, "version", "--json").stdout)
    libraries = {"libuv", "hiredis", "inih", "wslay", "libcbor", "libpq", "openssl", "llhttp"}
    assert libraries <= versions.keys()
    assert all(re.match(r"\d+", version) for version in versions.values()), versions
