"""A stream that is emptied while the relay has nothing more to say: what was not committed is fetched again."""
import psycopg
import pytest

from harness.waiting import wait_until

SECONDS = 60


def flushall(client):
    client.flushall()


def delete_the_stream(client):
    client.delete("firehose:events")


@pytest.mark.parametrize("lose", [flushall, delete_the_stream])
def test_what_was_lost_with_the_stream_is_fetched_again_from_a_quiet_relay(setup, start_relay, generated, lose):
    setup.relay = start_relay(generated.frames)
    assert setup.command("migrate").returncode == 0
    with psycopg.connect(setup.database.conninfo) as holder:
        holder.execute("LOCK TABLE repos IN ACCESS EXCLUSIVE MODE")
        daemon = setup.run(relay__cursor="oldest", workers__batch_size=10)
        wait_until(
            lambda: setup.queued() >= generated.last_sequence, "everything queued", SECONDS, [daemon.process]
        )
        lose(setup.stream())
        wait_until(
            lambda: setup.queued() >= generated.last_sequence and setup.last_sequence() >= generated.last_sequence,
            "everything queued again",
            SECONDS,
            [daemon.process],
        )
    setup.wait_drained(generated.last_sequence, SECONDS)
    assert daemon.terminate() == 0
    assert generated.differences(setup.database) == []
