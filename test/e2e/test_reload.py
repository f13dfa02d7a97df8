"""SIGHUP under load: what is changed is felt, what is bad changes nothing, and no event is lost or repeated."""
import json
import signal
import socket
from pathlib import Path

import pytest

from harness.database import Database
from harness.journal import start_journal, written_twice
from harness.process import free_port
from harness.redis_server import RedisServer
from harness.waiting import wait_until

TABLES = Path(__file__).resolve().parents[2] / "conf" / "tables.conf"
KEY, GROUP = "firehose:events", "firehose-processors"
SUCCESS = "standpipe_config_last_reload_successful"


@pytest.fixture
def daemon(setup, start_relay, generated):
    """A daemon that reads its configuration from a file, in the middle of a stream."""
    setup.relay = start_relay(generated.frames, "--rate", 300)
    assert setup.command("migrate").returncode == 0
    start_journal(setup.database)
    daemon = setup.run_from_file(relay__cursor="oldest")
    wait_queued(setup, daemon, 50)
    return daemon


def wait_queued(setup, daemon, sequence):
    wait_until(
        lambda: setup.queued() >= sequence,
        lambda: f"queued up to {sequence} ({setup.progress()})",
        60,
        [daemon.process],
    )


def assert_the_end_is_right(setup, daemon, capture):
    setup.wait_drained(capture.last_sequence)
    assert daemon.terminate() == 0
    assert capture.differences(setup.database) == []
    assert written_twice(setup.database) == []


def changes(verdict):
    return {change["key"]: change["applies"] for change in verdict["changes"]}


def assert_refused(daemon, verdict, *words):
    assert verdict["wasRefused"], verdict
    for word in words:
        assert word in verdict["why"], verdict["why"]
    assert daemon.metrics()[SUCCESS] == 0
    lines = [line for line in daemon.process.text().splitlines() if " reload refused" in line]
    assert lines and all(word in lines[-1] for word in words), lines


def test_a_level_and_a_format_of_the_log_are_felt_at_once(setup, daemon, generated):
    verdict = daemon.reload(log__level="warning", log__format="json")
    assert changes(verdict) == {"log.level": "at once", "log.format": "at once"}
    verdict = daemon.reload(log__level="info")
    lines = [json.loads(line) for line in daemon.process.text().splitlines() if line.startswith("{")]
    told = [line for line in lines if line["message"] == "reloaded"]  # an alert may come after it
    assert [line["at_once"] for line in told] == [1]
    assert_the_end_is_right(setup, daemon, generated)


def test_every_key_that_reconnects_is_changed_while_events_pass(setup, daemon, generated):
    wanted = {
        "workers__batch_size": 100,
        "workers__pipelines": 3,
        "workers__block_ms": 50,
        "workers__claim_interval_ms": 600,
        "workers__claim_min_idle_ms": 2500,
        "postgres__connections": 5,
        "postgres__batch_bytes": "1 MiB",
        "postgres__prepared": "false",
        "stream__max_length": 100000,
        "stream__trim_groups": GROUP,
        "relay__idle_timeout_ms": 20000,
        "relay__max_frame_bytes": "6 MiB",
        "relay__verify": "none",
        "relay__accept_sequence_reset": "true",
        "ingest__lease_ms": 1500,
    }
    for name, value in wanted.items():
        verdict = daemon.reload(**{name: value})
        assert changes(verdict) == {name.replace("__", "."): "reconnect"}, verdict
    assert daemon.metrics()[SUCCESS] == 1
    assert_the_end_is_right(setup, daemon, generated)


def test_more_pipelines_are_more_consumers(setup, daemon, generated):
    daemon.reload(workers__pipelines=4)
    wait_until(
        lambda: len(setup.stream().xinfo_consumers(KEY, GROUP)) == 8,  # two threads
        lambda: f"eight consumers ({setup.stream().xinfo_consumers(KEY, GROUP)})",
        30,
        [daemon.process],
    )
    assert_the_end_is_right(setup, daemon, generated)


def test_a_key_that_needs_a_restart_is_told_and_not_half_applied(setup, daemon, generated):
    verdict = daemon.reload(stream__key="another", workers__threads=3, workers__batch_size=50)
    assert changes(verdict) == {
        "stream.key": "restart",
        "workers.threads": "restart",
        "workers.batch_size": "reconnect",
        "postgres.connections": "reconnect",  # auto: two per thread
    }
    assert "changed, but needs a restart key=stream.key" in daemon.process.text()
    assert_the_end_is_right(setup, daemon, generated)
    assert not setup.stream().exists("another")


def test_a_reload_without_a_change_opens_nothing_again(setup, daemon, generated):
    before = {client["id"] for client in setup.stream().client_list()}
    verdict = daemon.reload()
    assert verdict["changes"] == [] and not verdict["wasRefused"]
    assert before <= {client["id"] for client in setup.stream().client_list()}
    assert_the_end_is_right(setup, daemon, generated)


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"workers__batch_size": 0}, ("workers.batch_size", "out of range", ".conf:")),
        ({"workers__no_such_key": 1}, ("no_such_key", "unknown key")),
        ({"relay__ca_file": "/nowhere.pem"}, ("relay.ca_file", "/nowhere.pem")),
        ({"relay__ca_file": "/dev/null"}, ("relay.ca_file", "PEM")),
        ({"http__token_file": "/dev/null"}, ("http.token_file", "no token")),
        ({"redis__url": "redis://127.0.0.1:1"}, ("redis.url", "refused")),
        ({"redis__url": "unix:///nowhere.sock"}, ("redis.url",)),
        ({"postgres__url": "postgresql://127.0.0.1:1/x"}, ("postgres.url", "refused")),
        ({"relay__url": "ws://127.0.0.1:1"}, ("relay.url", "refused")),
    ],
)
def test_a_configuration_that_cannot_work_changes_nothing(setup, daemon, generated, changed, words):
    verdict = daemon.reload(**changed)
    assert_refused(daemon, verdict, *words)
    verdict = daemon.reload(**{name: setup.values().get(name.replace("__", ".")) for name in changed})
    assert not verdict["wasRefused"], verdict
    assert daemon.metrics()[SUCCESS] == 1
    assert_the_end_is_right(setup, daemon, generated)


def test_a_file_that_is_gone_changes_nothing(setup, daemon, generated):
    daemon.file.path.unlink()
    assert_refused(daemon, daemon.reload(), "No such file")
    daemon.file.write()
    assert not daemon.reload()["wasRefused"]
    assert_the_end_is_right(setup, daemon, generated)


def test_a_new_relay_opens_a_new_epoch(setup, daemon, start_relay, generated):
    epoch = int(setup.stream().hget(f"{KEY}:meta", "epoch"))
    second = start_relay(generated.frames, "--rate", 2000)
    verdict = daemon.reload(relay__url=second.url)
    assert changes(verdict) == {"relay.url": "reconnect"}
    setup.wait_new_epoch(epoch)
    assert int(setup.stream().hget(f"{KEY}:meta", "epoch")) > epoch
    wait_until(
        lambda: setup.stream().hget(f"{KEY}:meta", "host").decode() in second.url,
        "the second relay's host",
        30,
        [daemon.process],
    )
    back = daemon.reload(relay__url=setup.relay.url)
    assert not back["wasRefused"]
    assert_the_end_is_right(setup, daemon, generated)


def test_collections_of_a_reload_filter_from_then_on(setup, daemon, generated):
    daemon.reload(relay__collections="no.such.thing")
    wait_until(lambda: daemon.metrics()["standpipe_filtered_events_total"] > 0, "filtered", 30)
    setup.wait_drained(0)
    assert daemon.terminate() == 0


def test_another_redis_goes_on_at_the_mark_in_postgresql(setup, daemon, folder, generated):
    second = RedisServer(folder / "second").start()
    try:
        verdict = daemon.reload(redis__url=second.url)
        assert changes(verdict) == {"redis.url": "reconnect"}
        setup.redis.stop()
        setup.redis = second
        assert_the_end_is_right(setup, daemon, generated)
    finally:
        second.stop()


def test_a_redis_that_is_gone_can_be_replaced(setup, daemon, folder, generated):
    """What has committed and cannot be acknowledged any more is given up, not waited for."""
    second = RedisServer(folder / "second").start()
    try:
        with setup.database.connect() as other:
            other.execute("BEGIN")
            other.execute("LOCK TABLE repos IN ACCESS EXCLUSIVE MODE")
            setup.wait_held(daemon)
            setup.redis.kill()
            other.execute("ROLLBACK")
        wait_until(lambda: written(setup.database), "the batch has committed", 30, [daemon.process])
        verdict = daemon.reload(seconds=60, redis__url=second.url)
        assert not verdict["wasRefused"]
        setup.redis = second
        assert_the_end_is_right(setup, daemon, generated)
    finally:
        second.stop()


def written(database):
    return database.scalar("SELECT count(*) FROM pg_locks WHERE NOT granted") == 0


def test_another_database_gets_its_schema_and_all_that_is_not_acknowledged(setup, daemon, cluster, generated):
    cluster.create_database("reloaded")
    try:
        second = Database(cluster, "reloaded")
        verdict = daemon.reload(seconds=60, postgres__url=second.conninfo)
        assert changes(verdict) == {"postgres.url": "reconnect"}
        # Where all was acknowledged before the reload, the new database's missing mark sets the group back first.
        held = "SELECT count(*) FROM standpipe_cursor WHERE committed = %s"
        wait_until(
            lambda: second.has("standpipe_cursor") and second.scalar(held, generated.last_sequence) == 1,
            lambda: f"the new database has all ({setup.progress()})",
            60,
            [daemon.process],
        )
        assert daemon.terminate() == 0
        assert second.query("SELECT count(*) FROM records")[0][0] > 0
        assert second.query("SELECT max(committed) FROM standpipe_cursor")[0][0] == generated.last_sequence
    finally:
        cluster.drop_database("reloaded")


def test_a_typed_table_that_is_described_anew_is_there_after_the_reload(setup, daemon, folder, generated):
    tables = folder / "tables.conf"
    shipped = TABLES.read_text()
    tables.write_text(shipped + "[entries]\ncollection = com.example.entry\ntitle = text title\n")
    verdict = daemon.reload(postgres__tables_file=tables)
    assert changes(verdict) == {"postgres.tables_file": "reconnect"}
    assert setup.database.has("standpipe_entries")
    tables.write_text(tables.read_text() + "[others]\ncollection = com.example.other\ntitle = text title\n")
    assert changes(daemon.reload()) == {"postgres.tables_file": "reconnect"}  # the same name, other content
    assert setup.database.has("standpipe_others")
    tables.write_text("[entries]\ncollection = no collection\n")
    assert_refused(daemon, daemon.reload(), "tables.conf")
    tables.write_text(shipped)  # a table with rows in it is not dropped by the way
    assert_refused(daemon, daemon.reload(), "schema:", "no longer described")
    assert_the_end_is_right(setup, daemon, generated)


def test_http_moves_to_another_port_and_the_old_one_closes(setup, daemon, generated):
    old = daemon.settings["http.listen"]
    new = f"127.0.0.1:{free_port()}"
    daemon.file.set(http__listen=new)
    daemon.process.send(signal.SIGHUP)
    daemon.settings["http.listen"] = new
    wait_until(lambda: daemon.get("/livez")[0] == 200, "the new port answers", 30, [daemon.process])
    daemon.settings["http.listen"] = old
    wait_until(lambda: daemon.get("/livez")[0] == 0, "the old port is closed", 30, [daemon.process])
    daemon.settings["http.listen"] = new
    port = new.rpartition(":")[2]
    assert not daemon.reload(http__listen=f"0.0.0.0:{port}")["wasRefused"]  # the same port, wider
    assert_the_end_is_right(setup, daemon, generated)


def test_a_port_that_is_taken_refuses_the_reload_and_keeps_the_old_one(setup, daemon, generated):
    taken = f"127.0.0.1:{setup.relay.port}"
    assert_refused(daemon, daemon.reload(http__listen=taken), "http.listen", "in use")
    assert_the_end_is_right(setup, daemon, generated)


def test_a_token_file_is_read_again(setup, start_relay, generated, folder):
    token = folder / "token"
    token.write_text("first\n")
    setup.relay = start_relay(generated.frames)
    daemon = setup.run_from_file(relay__cursor="oldest", http__token_file=token).wait_ready()
    assert daemon.get("/api/metrics", token="first")[0] == 200
    token.write_text("second\n")
    daemon.process.send(signal.SIGHUP)
    wait_until(lambda: daemon.get("/api/metrics", token="second")[0] == 200, "the new token", 30)
    assert daemon.get("/api/metrics", token="first")[0] == 401
    assert_ends(setup, daemon, generated)


def assert_ends(setup, daemon, capture):
    setup.wait_drained(capture.last_sequence)
    assert daemon.terminate() == 0


def test_a_secret_of_the_environment_s_file_is_read_again(setup, start_relay, generated, folder, database):
    secret = folder / "postgres-url"
    secret.write_text(database.conninfo + "\n")
    setup.relay = start_relay(generated.frames, "--rate", 300)
    setup.database = None
    daemon = setup.run_from_file(environment={"STANDPIPE_POSTGRES_URL_FILE": secret}, relay__cursor="oldest")
    wait_queued(setup, daemon, 50)
    secret.write_text(database.conninfo + " application_name=again\n")
    assert changes(daemon.reload()) == {"postgres.url": "reconnect"}
    setup.database = database
    setup.wait_drained(generated.last_sequence)
    assert daemon.terminate() == 0
    assert generated.differences(database) == []


def test_a_certificate_file_with_other_content_reconnects(setup, start_relay, generated, certificate, folder):
    authorities = folder / "ca.pem"
    authorities.write_text(certificate.certificate.read_text())
    setup.relay = start_relay(generated.frames, "--rate", 300, tls=certificate)
    daemon = setup.run_from_file(relay__cursor="oldest", relay__ca_file=authorities)
    wait_queued(setup, daemon, 50)
    authorities.write_text("no certificate\n")
    assert_refused(daemon, daemon.reload(), "relay.ca_file")
    authorities.write_text(certificate.certificate.read_text() * 2)
    assert changes(daemon.reload()) == {"relay.ca_file": "reconnect"}
    assert_ends(setup, daemon, generated)


def test_a_reload_while_postgresql_is_away_at_the_start_takes_the_new_address(setup, start_relay, generated, database):
    setup.relay = start_relay(generated.frames)
    setup.database = None
    daemon = setup.run_from_file(relay__cursor="oldest", postgres__url="postgresql://127.0.0.1:1/x")
    wait_until(lambda: "schema is not ready" in daemon.process.text(), "it waits", 30, [daemon.process])
    verdict = daemon.reload(postgres__url=database.conninfo)
    assert changes(verdict) == {"postgres.url": "reconnect"}
    setup.database = database
    assert_ends(setup, daemon, generated)
    assert generated.differences(database) == []


def test_sigterm_during_a_reload_drains_at_once(setup, daemon, generated):
    """The new PostgreSQL takes the connection and says nothing, so that the check lasts."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        daemon.file.set(postgres__url=f"postgresql://127.0.0.1:{port}/x")
        daemon.process.send(signal.SIGHUP)
        peer, _ = silent.accept()  # the check has begun
        assert daemon.api()["reload"]["isRunning"]
        assert daemon.terminate() == 0
        peer.close()
    assert " stopped" in daemon.process.text().strip().splitlines()[-1]
    daemon = setup.run()
    assert_the_end_is_right(setup, daemon, generated)


def test_a_second_sighup_during_a_reload_is_taken_after_it(setup, daemon, generated):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        url = setup.values()["postgres.url"]
        before = daemon.verdicts()
        daemon.file.set(postgres__url=f"postgresql://127.0.0.1:{port}/x")
        daemon.process.send(signal.SIGHUP)
        peer, _ = silent.accept()
        daemon.file.set(postgres__url=url, workers__batch_size=77)
        daemon.process.send(signal.SIGHUP)
        peer.close()
        wait_until(lambda: daemon.verdicts() >= before + 2, "both verdicts", 60, [daemon.process])
    verdict = daemon.api()["reload"]
    assert changes(verdict) == {"workers.batch_size": "reconnect"} and not verdict["wasRefused"]
    assert_the_end_is_right(setup, daemon, generated)


