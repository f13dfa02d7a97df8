"""The checks that operators of the reference system run, word for word, against the real daemon."""
import shutil
import subprocess

import pytest

from harness.process import clean_environment
from harness.waiting import wait_until

TOOLS = ("curl", "jq", "redis-cli")
pytestmark = pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"{', '.join(TOOLS)} are not all installed")
DEPTH = "curl -s localhost:{port}/api/metrics | jq .firehoseStatus.{member}"


def shell(command):
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, env=clean_environment())
    assert (done.returncode, done.stderr) == (0, ""), command
    return done.stdout


def member(daemon, name):
    return int(shell(DEPTH.format(port=daemon.settings["http.listen"].rpartition(":")[2], member=name)))


def redis_cli(setup, command):
    """What `redis-cli COMMAND` prints into a pipe: one element a line."""
    return shell(f"redis-cli -s {setup.redis.socket} {command}").splitlines()


def named(lines, name):
    """The values that follow `name` in the replies of XINFO."""
    return [value for key, value in zip(lines, lines[1:]) if key == name]


def groups(setup):
    return redis_cli(setup, "XINFO GROUPS firehose:events")


def depth_by_redis(setup):
    return int(named(groups(setup), "pending")[0]) + int(named(groups(setup), "lag")[0])


def test_a_run_that_keeps_up_has_nothing_waiting(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    daemon = setup.run(relay__cursor="oldest").wait_ready()
    setup.wait_drained(generated.last_sequence)
    length = len(generated.events)
    assert redis_cli(setup, "XLEN firehose:events") == [str(length)]
    assert named(groups(setup), "name") == ["firehose-processors"]
    assert named(groups(setup), "pending") == named(groups(setup), "lag") == ["0"]
    consumers = redis_cli(setup, "XINFO CONSUMERS firehose:events firehose-processors")
    assert len(named(consumers, "name")) == 4  # two threads of two pipelines
    assert named(consumers, "pending") == ["0"] * 4
    assert redis_cli(setup, "XPENDING firehose:events firehose-processors")[0] == "0"
    assert redis_cli(setup, "XLEN firehose:dead-letters") == ["0"]
    wait_until(lambda: member(daemon, "streamLength") == length, "a look at the whole stream", 30, [daemon.process])
    wait_until(lambda: member(daemon, "queueDepth") == 0, "a look at an empty queue", 30, [daemon.process])
    assert member(daemon, "deadLetterLength") == 0
    assert daemon.terminate() == 0
    assert "NOGROUP" not in daemon.process.text()


def test_a_run_that_cannot_commit_shows_the_same_depth_as_redis(setup, start_relay, generated):
    assert setup.command("migrate").returncode == 0
    setup.relay = start_relay(generated.frames)
    with setup.database.transaction() as lock:
        lock.execute("LOCK TABLE repos IN ACCESS EXCLUSIVE MODE")
        daemon = setup.run(relay__cursor="oldest").wait_running()
        wait_until(lambda: setup.queued() == generated.last_sequence, "all is queued", 60, [daemon.process])
        depth = depth_by_redis(setup)
        assert depth == len(generated.events)  # XPENDING alone would hide what nobody has read yet
        assert int(redis_cli(setup, "XPENDING firehose:events firehose-processors")[0]) < depth
        wait_until(lambda: member(daemon, "queueDepth") == depth, "the same depth", 30, [daemon.process])
        lock.rollback()
    setup.wait_drained(generated.last_sequence)
    wait_until(lambda: member(daemon, "queueDepth") == depth_by_redis(setup) == 0, "nothing waits", 30, [daemon.process])
    assert daemon.terminate() == 0


def test_no_process_that_starts_before_the_stream_is_there_meets_nogroup(setup, start_relay, generated):
    """Workers come before the first entry, beside another process, and to a stream that has been emptied."""
    setup.relay = start_relay(generated.frames)
    workers = setup.run("workers", ingest__mode="never").wait_running()
    daemon = setup.run(relay__cursor="oldest").wait_ready()
    setup.wait_drained(generated.last_sequence)
    assert daemon.terminate() == workers.terminate() == 0
    again = setup.run(relay__cursor="saved").wait_ready()
    assert again.terminate() == 0
    assert [d.process.text().count("NOGROUP") for d in (workers, daemon, again)] == [0, 0, 0]
