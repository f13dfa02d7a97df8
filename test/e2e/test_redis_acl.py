"""standpipe runs under conf/redis-acl.conf and has no other right."""
import re
import shutil

import pytest
import redis as redis_client

from handmade import Create, Repo, Sequence, write_frames
from harness.daemon import Setup
from harness.database import Database
from harness.limited_redis import ACL_FILE, LimitedRedis, Listener
from harness.process import Process
from harness.waiting import wait_until

DONE = 0
ANNA = "did:plc:" + "a" * 24
STREAM, META = "firehose:events", "firehose:events:meta"
SECONDS = 120


@pytest.fixture
def redis(folder):
    server = LimitedRedis(folder / "redis").start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def shared(session_folder):
    """One for all that is refused: nothing of it may do anything."""
    server = LimitedRedis(session_folder / "limited").start()
    yield server
    server.stop()


@pytest.fixture
def own_setup(standpipe, folder, redis, own_cluster):
    own_cluster.start()
    setup = Setup(standpipe, folder, redis, Database(own_cluster, "postgres"))
    yield setup
    setup.stop()
    reports = [text for daemon in setup.daemons if (text := daemon.process.sanitizer_report())]
    assert not reports, "a sanitizer reported:\n" + reports[0][-8000:]


def command(setup, *words):
    done = setup.command(*words)
    assert done.returncode == DONE, (words, done.stdout, done.stderr)
    return done.stdout


def letters(setup):
    return setup.database.scalar("SELECT count(*) FROM standpipe_dead_letters")


def wait_letters(setup, count):
    wait_until(lambda: letters(setup) == count, lambda: f"{count} dead letters ({letters(setup)})", SECONDS)


def write_two_frames(folder):
    """A record with a typed table that breaks an operator's rule, and bytes that are no frame."""
    repo = Repo(Sequence(), ANNA)
    frames = [repo.commit(Create("app.bsky.feed.post/long", {"text": "a" * 500})), b"\xff\xfe garbage"]
    frames += [repo.commit(Create("app.bsky.feed.post/short", {"text": "a"}))]
    return write_frames(frames, folder / "refused.bin")


def use_dead_letters(setup, folder, start_relay):
    """A row that is refused and a broken frame; the row is tried again, the frame is dropped."""
    rule = "ALTER TABLE standpipe_records {} CONSTRAINT short"
    setup.database.query(rule.format("ADD") + " CHECK (length(record::text) < 100)")
    setup.relay = start_relay(write_two_frames(folder))
    daemon = setup.run(relay__cursor="oldest")
    wait_letters(setup, 2)
    unmirrored = "SELECT count(*) FROM standpipe_dead_letters WHERE mirror_id IS NULL"
    wait_until(lambda: setup.database.scalar(unmirrored) == 0, "both are mirrored", SECONDS, [daemon.process])
    assert daemon.get("/api/redis/dead-letters")[0] == 200
    setup.database.query(rule.format("DROP"))
    command(setup, "dead", "retry", "--reason", "refused by PostgreSQL")
    command(setup, "dead", "drop", "--since", "1h")
    wait_letters(setup, 0)
    assert daemon.terminate() == DONE


def back_up(cluster):
    cluster.stop()
    shutil.copytree(cluster.data, cluster.folder / "backup")
    cluster.start()


def restore(cluster):
    cluster.stop()
    shutil.rmtree(cluster.data)
    shutil.move(cluster.folder / "backup", cluster.data)
    cluster.own()
    cluster.start()


def committed(setup):
    return setup.database.scalar("SELECT committed FROM standpipe_cursor ORDER BY epoch DESC LIMIT 1") or 0


def wait_committed(setup, sequence):
    wait_until(lambda: committed(setup) >= sequence, lambda: f"the mark {sequence} ({committed(setup)})", SECONDS)


def lose_a_process_and_a_third_of_the_database(setup, cluster, capture):
    """Two ingest by turns; the leader is killed with entries in hand; PostgreSQL comes back as it was before."""
    one = setup.run("one", relay__cursor="oldest", workers__batch_size=20, stream__max_length=1000)
    one.process.wait_for_line("relay.cursor asks for a replay")  # `two` would begin with what is live
    two = setup.run("two", workers__batch_size=20, stream__max_length=1000).wait_running()
    wait_committed(setup, capture.last_sequence // 5)
    with setup.database.transaction() as holder:
        holder.execute("LOCK TABLE repos IN ACCESS EXCLUSIVE MODE")
        wait_until(lambda: setup.progress()[3] > 0, "entries are pending", 30, [one.process, two.process])
        one.kill()
    wait_committed(setup, capture.last_sequence // 3)
    back_up(cluster)
    wait_committed(setup, capture.last_sequence)
    restore(cluster)
    wait_until(lambda: "went back in time" in two.process.text(), "it is noticed", SECONDS, [two.process])
    wait_committed(setup, capture.last_sequence)
    setup.wait_drained(capture.last_sequence, SECONDS)
    wait_until(lambda: not setup.stream().hexists(META, "again_to"), "it is counted back", SECONDS, [two.process])
    return two


def is_blocked_in(setup, command):
    return any(client["cmd"] == command for client in setup.stream().client_list())


def look_at_the_stream(setup):
    command(setup, "cursor", "show")
    command(setup, "replay", "--from", "0-0", "--dry-run")
    follower = Process("tail", [setup.program, "tail", "--from", "0-0", "--follow", *setup.arguments()], setup.folder / "tail.log")
    wait_until(follower.text, "tail shows an event", 30, [follower])
    wait_until(lambda: is_blocked_in(setup, "xread"), "tail waits for the next", 30, [follower])
    follower.stop()


def wait_truth(setup, capture, daemon):
    """What the stream had trimmed comes from the relay again, at its own pace."""

    def differences():
        return [line for line in capture.differences(setup.database) if ANNA not in line]

    wait_until(lambda: differences() == [], lambda: f"the truth ({differences()[:3]})", SECONDS, [daemon.process])


def test_a_whole_life_needs_no_right_that_is_not_in_the_list(own_setup, own_cluster, redis, folder, start_relay, generated):
    setup = own_setup
    with Listener(redis) as listener:
        command(setup, "migrate")
        use_dead_letters(setup, folder, start_relay)
        # Slow: a backup at a third of the history must not come after its end.
        setup.relay = start_relay(generated.frames, "--rate", 150)
        daemon = lose_a_process_and_a_third_of_the_database(setup, own_cluster, generated)
        look_at_the_stream(setup)
        setup.database.query("DELETE FROM standpipe_records WHERE collection = 'app.bsky.feed.post' AND rkey IN ('long', 'short')")
        wait_truth(setup, generated, daemon)
        assert daemon.terminate() == DONE
        command(setup, "cursor", "set", "5")
        command(setup, "check-config", "--connect")
    assert redis.refusals() == []
    assert listener.used and listener.used <= redis.allowed()


REFUSED = [
    ("FLUSHALL",),
    ("CONFIG", "GET", "*"),
    ("KEYS", "*"),
    ("ACL", "LIST"),
    ("SHUTDOWN", "NOSAVE"),
    ("REPLICAOF", "127.0.0.1", "1"),
    ("MONITOR",),
    ("CLIENT", "KILL", "TYPE", "normal"),
    ("SCRIPT", "FLUSH"),
    ("XGROUP", "DESTROY", STREAM, "firehose-processors"),
    ("RENAME", STREAM, "firehose:events:2"),
    ("PUBLISH", "news", "x"),
    ("GET", "of somebody else"),
    ("SET", "firehose:eventsx", "1"),
    ("XADD", "firehose:other", "*", "a", "b"),
    ("EVAL", "return redis.call('GET', KEYS[1])", "1", "of somebody else"),
    ("EVAL", "return redis.call('FLUSHDB')", "0"),
]


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_what_it_does_not_need_is_refused(shared, words):
    with pytest.raises(redis_client.RedisError) as refusal:
        shared.as_standpipe().execute_command(*words)
    assert "permission" in str(refusal.value) or "can't run this command" in str(refusal.value), refusal.value
    assert shared.client.ping()


# Of a script Redis names the command from 7.2 on.
IN_A_SCRIPT = r"can't run this command|no permissions to run the 'xadd' command"


@pytest.mark.parametrize("right, said", [("xreadgroup", "NOPERM"), ("evalsha", "NOPERM"), ("xadd", IN_A_SCRIPT)])
def test_a_right_that_is_missing_is_named_and_nothing_is_lost(standpipe, folder, database, start_relay, generated, right, said):
    server = LimitedRedis(folder / "short", ACL_FILE.read_text().replace(f" +{right} ", " ")).start()
    setup = Setup(standpipe, folder, server, database, start_relay(generated.frames))
    try:
        daemon = setup.run(relay__cursor="oldest")
        wait_until(lambda: re.search(said, daemon.process.text()), f"it says {said}", 30, [daemon.process])
        wait_until(lambda: daemon.get("/readyz")[0] == 503, "it is not ready", 30, [daemon.process])
        server.client.execute_command("ACL", "SETUSER", "standpipe", f"+{right}")
        setup.wait_drained(generated.last_sequence)
        wait_until(lambda: daemon.get("/readyz")[0] == 200, "it is ready again", 30, [daemon.process])
        assert daemon.terminate() == DONE
        assert generated.differences(database) == []
    finally:
        setup.stop()
        server.stop()
