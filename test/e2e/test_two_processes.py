"""Many processes share one group: all write, one ingests, the result is that of one."""
import psycopg
import pytest

from handmade import Create, Repo, Sequence, write_frames
from harness.journal import start_journal, written_twice
from harness.waiting import wait_until


def holders(setup):
    """The processes whose consumers have entries pending."""
    if not setup.stream().exists("firehose:events"):
        return set()
    consumers = setup.stream().xinfo_consumers("firehose:events", "firehose-processors")
    return {entry["name"].decode().split("-")[0] for entry in consumers if entry["pending"] > 0}


def test_two_processes_and_a_worker_all_write_and_the_result_is_the_same(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames, "--rate", 1000, later=True)
    assert setup.command("migrate").returncode == 0
    start_journal(setup.database)
    daemons = [
        setup.run("one", relay__cursor="oldest", workers__batch_size=20),
        setup.run("two", relay__cursor="oldest", workers__batch_size=20),
        setup.run("three", ingest__mode="never", workers__batch_size=20),
    ]
    processes = [daemon.process for daemon in daemons]
    for process in processes:
        for worker in range(2):
            process.wait_for_line(f"postgres[worker-{worker}] connected", 30)
    with psycopg.connect(setup.database.conninfo) as holder:
        holder.execute("LOCK TABLE repos IN ACCESS EXCLUSIVE MODE")  # until each has its share in hand
        setup.relay.start()
        wait_until(lambda: len(holders(setup)) == 3, lambda: f"all hold entries ({holders(setup)})", 30, processes)
    setup.wait_drained(generated.last_sequence)
    shares = [daemon.ops_written() for daemon in daemons]
    leaders = ["this process ingests" in daemon.process.text() for daemon in daemons]
    assert [daemon.terminate() for daemon in daemons] == [0, 0, 0]
    assert all(shares), f"each process writes: {shares}"
    assert leaders.count(True) == 1 and not leaders[2]
    assert generated.differences(setup.database) == []
    assert written_twice(setup.database) == []


def test_the_other_ingests_on_when_the_leader_is_killed(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames, "--rate", 1000)
    one = setup.run("one", relay__cursor="oldest")
    wait_until(lambda: setup.queued() > 100, "one ingests", 30, [one.process])
    two = setup.run("two").wait_running()
    one.kill()
    setup.wait_drained(generated.last_sequence)
    assert two.terminate() == 0
    assert generated.differences(setup.database) == []


def test_what_a_pod_held_that_never_comes_back_under_its_name_is_taken_over(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames, "--rate", 500)
    assert setup.command("migrate").returncode == 0
    start_journal(setup.database)
    old = setup.run("pod-6f7d8", relay__cursor="oldest")
    wait_until(lambda: setup.queued() > 100, "it ingests", 30, [old.process])
    with psycopg.connect(setup.database.conninfo) as holder:
        holder.execute("LOCK TABLE repos IN ACCESS EXCLUSIVE MODE")
        setup.wait_held(old)
        old.kill()
    new = setup.run("pod-9c2b4")
    setup.wait_drained(generated.last_sequence)
    assert new.terminate() == 0
    assert generated.differences(setup.database) == []
    assert written_twice(setup.database) == []


def test_a_worker_alone_reads_no_relay(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    worker = setup.run(ingest__mode="never")
    worker.wait_running()
    assert setup.last_sequence() == 0
    assert worker.terminate() == 0


def transactions(setup, count):
    """How many transactions wrote the records; each row's xmin is its writer's."""
    assert setup.database.scalar("SELECT count(*) FROM standpipe_records") == count
    return setup.database.scalar("SELECT count(DISTINCT xmin::text) FROM standpipe_records")


@pytest.mark.parametrize("deliveries, alone", [(2, False), (7, True)])
def test_entries_that_were_delivered_too_often_run_alone(setup, start_relay, folder, deliveries, alone):
    repo = Repo(Sequence(), "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")
    frames = [repo.commit(Create(f"com.example.x/r{n}", {"n": n})) for n in range(12)]
    setup.relay = start_relay(write_frames(frames, folder / "f.bin"))
    assert setup.command("migrate").returncode == 0
    with psycopg.connect(setup.database.conninfo) as connection:
        connection.execute("LOCK TABLE repos IN ACCESS EXCLUSIVE MODE")  # no batch comes to its end
        first = setup.run("first", relay__cursor="oldest", workers__threads=1, workers__pipelines=1)
        wait_until(lambda: setup.last_sequence() == 12, "the stream has all", 30, [first.process])
        first.kill()
    stream = setup.stream()
    # Somebody took them again and again and never came back.
    stream.xreadgroup("firehose-processors", "gone", {"firehose:events": ">"}, count=100)
    pending = [row["message_id"] for row in stream.xpending_range("firehose:events", "firehose-processors", "-", "+", 100)]
    stream.execute_command("XCLAIM", "firehose:events", "firehose-processors", "gone", 0, *pending, "IDLE", 600000,
                           "RETRYCOUNT", deliveries)
    second = setup.run("second", workers__max_deliveries=5, workers__threads=1, workers__pipelines=1)
    setup.wait_drained(12)
    assert second.terminate() == 0
    assert transactions(setup, 12) == (12 if alone else 1)
