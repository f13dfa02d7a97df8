"""PostgreSQL goes back in time (an older copy of its data is restored): what it lost is delivered again."""
import shutil
import signal

import pytest

from harness.daemon import Setup
from harness.database import Database
from harness.redis_server import RedisServer
from harness.waiting import wait_until

SECONDS = 120
LEDGER = "firehose:events:ledger"
META = "firehose:events:meta"


@pytest.fixture
def own_setup(standpipe, folder, own_cluster, start_relay, generated):
    """Services that may be stopped, all of them running."""
    redis = RedisServer(folder / "own-redis").start()
    own_cluster.start()
    setup = Setup(standpipe, folder, redis, Database(own_cluster, "postgres"))
    setup.relay = start_relay(generated.frames, "--rate", 500)
    assert setup.command("migrate").returncode == 0
    yield setup
    setup.stop()
    redis.stop()
    reports = [text for daemon in setup.daemons if (text := daemon.process.sanitizer_report())]
    assert not reports, "a sanitizer reported:\n" + reports[0][-8000:]


def mark(setup):
    """The newest of standpipe_cursor."""
    return setup.database.scalar("SELECT committed FROM standpipe_cursor ORDER BY epoch DESC LIMIT 1") or 0


def wait_mark(setup, sequence):
    running = [daemon.process for daemon in setup.daemons if daemon.process.is_running()]
    wait_until(lambda: mark(setup) >= sequence, lambda: f"the mark {sequence} ({mark(setup)})", SECONDS, running)


def back_up(cluster):
    """A cold copy; the daemon waits meanwhile."""
    cluster.stop()
    shutil.copytree(cluster.data, cluster.folder / "backup")
    cluster.start()


def restore(cluster):
    cluster.stop()
    shutil.rmtree(cluster.data)
    shutil.copytree(cluster.folder / "backup", cluster.data)
    cluster.own()
    cluster.start()


def went_back(setup):
    return sum(daemon.process.text().count("PostgreSQL went back in time") for daemon in setup.daemons)


def wait_truth(setup, capture, daemons):
    """Everything is there again, acknowledged, and the mark says so."""
    processes = [daemon.process for daemon in daemons]
    wait_until(lambda: went_back(setup) > 0, "it is noticed", SECONDS, processes)
    setup.wait_drained(capture.last_sequence, SECONDS)
    wait_until(
        lambda: capture.differences(setup.database) == [],
        lambda: f"the truth ({capture.differences(setup.database)[:3]})",
        SECONDS,
        processes,
    )
    setup.wait_drained(capture.last_sequence, SECONDS)
    wait_mark(setup, capture.last_sequence)


def is_balanced(setup):
    ledger = {name: int(value) for name, value in setup.stream().hgetall(LEDGER).items()}
    is_counted = not setup.stream().hexists(META, "again_to")
    return is_counted and ledger[b"appended"] == ledger[b"committed"] + ledger.get(b"dead", 0)


def wait_balanced(setup, daemons):
    """Before the stop: what came again is counted back by the looks of a running process."""
    wait_until(
        lambda: is_balanced(setup),
        lambda: f"the ledger balances ({setup.stream().hgetall(LEDGER)}, {setup.stream().hgetall(META)})",
        SECONDS,
        [daemon.process for daemon in daemons],
    )


@pytest.fixture
def half(own_setup, own_cluster, generated):
    """A daemon that has taken everything; the backup is from when it had a third."""
    daemon = own_setup.run(relay__cursor="oldest", workers__batch_size=20)
    wait_mark(own_setup, generated.last_sequence // 3)
    back_up(own_cluster)
    wait_mark(own_setup, generated.last_sequence)
    return own_setup, daemon


def test_under_a_running_daemon_it_is_delivered_again_from_the_stream(half, own_cluster, generated):
    setup, daemon = half
    entries = setup.stream().xlen("firehose:events")
    restore(own_cluster)
    assert mark(setup) < generated.last_sequence
    wait_truth(setup, generated, [daemon])
    assert setup.stream().xlen("firehose:events") == entries  # the relay was not needed
    assert went_back(setup) == 1
    wait_balanced(setup, [daemon])
    assert daemon.terminate() == 0


def test_while_no_daemon_ran_it_is_found_at_the_start(half, own_cluster, generated):
    setup, daemon = half
    assert daemon.terminate() == 0
    restore(own_cluster)
    daemon = setup.run()
    wait_truth(setup, generated, [daemon])
    wait_balanced(setup, [daemon])
    assert daemon.terminate() == 0


def test_a_stream_that_was_trimmed_past_the_mark_is_fetched_again_from_the_relay(
    own_setup, own_cluster, generated
):
    settings = {"relay__cursor": "oldest", "stream__max_length": 0, "workers__batch_size": 20}
    daemon = own_setup.run(**settings)
    wait_mark(own_setup, generated.last_sequence // 3)
    back_up(own_cluster)
    wait_mark(own_setup, generated.last_sequence)
    before = own_setup.stream().hget(META, "epoch")
    wait_until(
        lambda: own_setup.stream().xlen("firehose:events") < generated.last_sequence // 3, "trimmed", SECONDS
    )
    restore(own_cluster)
    wait_truth(own_setup, generated, [daemon])
    assert own_setup.stream().hget(META, "epoch") > before
    assert "asking the relay again" in daemon.process.text()
    assert not own_setup.stream().hexists(META, "refetch")
    wait_balanced(own_setup, [daemon])
    assert daemon.terminate() == 0


def test_a_restart_of_postgresql_never_needs_the_relay_however_short_the_window(own_setup, own_cluster, generated):
    own_setup.stream().config_set("stream-node-max-entries", 10)  # trimming takes whole nodes
    daemon = own_setup.run(relay__cursor="oldest", stream__max_length=0, workers__batch_size=20)
    wait_mark(own_setup, generated.last_sequence // 3)
    before = own_setup.stream().hget(META, "epoch")
    own_cluster.stop()  # what was acknowledged since the last mark is in no mark that it has
    wait_until(lambda: own_setup.queued() == generated.last_sequence, "all is queued", SECONDS, [daemon.process])
    entries = own_setup.stream().xlen("firehose:events")
    wait_until(lambda: daemon.metrics()["standpipe_stream_entries"] <= entries, "a look at all", SECONDS, [daemon.process])
    own_cluster.start()
    wait_mark(own_setup, generated.last_sequence)
    own_setup.wait_drained(generated.last_sequence, SECONDS)
    assert generated.differences(own_setup.database) == []
    assert "asking the relay again" not in daemon.process.text()
    assert own_setup.stream().hget(META, "epoch") == before
    wait_balanced(own_setup, [daemon])
    assert daemon.terminate() == 0


def test_of_two_processes_one_sets_the_group_back(own_setup, own_cluster, generated):
    one = own_setup.run(name="one", relay__cursor="oldest", workers__batch_size=20)
    wait_until(lambda: own_setup.queued() > 0, "the first ingests", SECONDS, [one.process])
    daemons = [one, own_setup.run(name="two", workers__batch_size=20)]
    wait_mark(own_setup, generated.last_sequence // 3)
    back_up(own_cluster)
    wait_mark(own_setup, generated.last_sequence)
    restore(own_cluster)
    wait_truth(own_setup, generated, daemons)
    assert went_back(own_setup) == 1
    wait_balanced(own_setup, daemons)
    assert [daemon.terminate() for daemon in daemons] == [0, 0]


def test_it_goes_back_in_the_middle_of_the_work(own_setup, own_cluster, generated):
    daemon = own_setup.run(relay__cursor="oldest", workers__batch_size=20)
    wait_mark(own_setup, 1)
    back_up(own_cluster)
    wait_mark(own_setup, mark(own_setup) + 1)
    restore(own_cluster)
    wait_truth(own_setup, generated, [daemon])
    wait_balanced(own_setup, [daemon])
    assert daemon.terminate() == 0


def test_a_database_without_any_mark_gets_all_that_the_stream_has(own_setup, own_cluster, generated):
    back_up(own_cluster)
    daemon = own_setup.run(relay__cursor="oldest", workers__batch_size=20)
    wait_mark(own_setup, generated.last_sequence)
    restore(own_cluster)
    wait_truth(own_setup, generated, [daemon])
    wait_balanced(own_setup, [daemon])
    assert daemon.terminate() == 0


def lose_rows_above_the_mark(setup, capture):
    """Drained, and the mark stays behind: what was committed since the last one is lost without a trace in it."""
    holder = setup.database.cluster.connect()
    holder.execute("BEGIN; LOCK TABLE standpipe_cursor IN EXCLUSIVE MODE")
    kept = mark(setup)
    setup.wait_drained(capture.last_sequence, SECONDS)
    setup.database.query("DELETE FROM standpipe_records WHERE seq > %s", kept)
    assert capture.differences(setup.database)
    for daemon in setup.daemons:
        daemon.process.send(signal.SIGSTOP)
    setup.database.cluster.stop(signal.SIGQUIT)
    holder.close()


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_failover_that_lost_rows_above_a_mark_that_it_kept_lacks_nothing(
    own_setup, own_cluster, generated, is_killed
):
    """Even where no process lives to see it: Redis remembers which PostgreSQL it was."""
    daemon = own_setup.run(relay__cursor="oldest", workers__batch_size=20)
    wait_mark(own_setup, 1)
    lose_rows_above_the_mark(own_setup, generated)
    if is_killed:
        daemon.process.kill()
    own_cluster.start()
    if is_killed:
        daemon = own_setup.run()
    daemon.process.send(signal.SIGCONT)
    wait_until(
        lambda: generated.differences(own_setup.database) == [],
        lambda: f"the truth ({generated.differences(own_setup.database)[:3]})",
        SECONDS,
        [daemon.process],
    )
    own_setup.wait_drained(generated.last_sequence, SECONDS)
    wait_balanced(own_setup, [daemon])
    assert daemon.terminate() == 0
    assert went_back(own_setup) == 0


def test_connections_that_are_cut_set_nothing_back(half, generated):
    setup, daemon = half
    setup.wait_drained(generated.last_sequence, SECONDS)
    rewinds = setup.stream().hget(META, "rewinds")
    ours = "FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    cut = [pid for (pid, _) in setup.database.query(f"SELECT pid, pg_terminate_backend(pid) {ours}")]
    wait_until(
        lambda: setup.database.scalar(f"SELECT count(*) {ours} AND pid <> ALL(%s)", cut) >= len(cut),
        "all are connected again",
        SECONDS,
        [daemon.process],
    )
    assert daemon.get("/metrics")[0] == 200
    setup.wait_drained(generated.last_sequence, SECONDS)
    assert setup.stream().hget(META, "rewinds") == rewinds
    assert daemon.terminate() == 0


def test_a_database_that_did_not_go_back_is_left_alone(half, own_cluster, generated):
    setup, daemon = half
    own_cluster.stop()
    own_cluster.start()
    asked = "standpipe_committed"
    wait_until(lambda: daemon.get("/readyz")[0] == 200, "ready again", SECONDS, [daemon.process])
    assert asked in daemon.get("/metrics")[1]
    setup.wait_drained(generated.last_sequence, SECONDS)
    wait_balanced(setup, [daemon])
    assert daemon.terminate() == 0
    assert went_back(setup) == 0
    assert generated.differences(setup.database) == []


def test_an_empty_database_and_another_relay_at_once_are_no_silent_wait(own_setup, start_relay, generated):
    """The mark that Redis remembers is of the relay before: that one counts too."""
    daemon = own_setup.run(relay__cursor="oldest")
    own_setup.wait_drained(generated.last_sequence)
    assert daemon.terminate() == 0
    own_setup.database.cluster.create_database("other")
    own_setup.database = Database(own_setup.database.cluster, "other")
    own_setup.relay = start_relay(generated.frames)
    daemon = own_setup.run(relay__cursor="oldest").wait_ready(SECONDS)
    wait_until(lambda: not generated.differences(own_setup.database), "the truth", SECONDS, [daemon.process])
    assert went_back(own_setup) == 1
    assert daemon.terminate() == 0
