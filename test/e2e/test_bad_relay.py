"""A relay that drops, resets, stalls, repeats and talks nonsense: the end is the truth all the same."""
import pytest

import oracle
from capture import Capture
from handmade import Create, Repo, Sequence, write_frames
from harness.relay import generate
from harness.waiting import wait_until

SECONDS = 120

# What it does, the relay's arguments, and the counter that shows that it did it.
MISBEHAVIOUR = {
    "drops the socket": (["--drop-after", 700], "drops"),
    "resets the socket": (["--reset-after", 900, "--rate", 300], "resets"),
    "falls silent": (["--stall-after", 700], "stalls"),
    "sends half a frame": (["--half-frame-after", 700], "half_frames"),
    "repeats frames": (["--duplicate", 200], "duplicates"),
    "starts at the cursor itself": (["--cursor-inclusive", "--drop-after", 700], "drops"),
    "goes back on each reconnect": (["--reconnect-replay", 150, "--drop-after", 800], "drops"),
    "says that we are too slow": (
        ["--error-frame", "ConsumerTooSlow", "--error-after", 500],
        "error_frames",
    ),
    "floods with pings": (["--ping-flood"], "pings"),
}


def run_against(setup, relay, capture, **settings):
    setup.relay = relay
    daemon = setup.run(relay__cursor="oldest", relay__idle_timeout_ms=1000, **settings)
    setup.wait_drained(capture.last_sequence, SECONDS)
    return daemon


@pytest.mark.parametrize("what", MISBEHAVIOUR)
def test_a_relay_that(setup, start_relay, generated, what):
    arguments, counter = MISBEHAVIOUR[what]
    relay = start_relay(generated.frames, *arguments)
    daemon = run_against(setup, relay, generated)
    assert daemon.terminate() == 0
    assert relay.counters()[counter] > 0
    assert generated.differences(setup.database) == []
    assert setup.database.query("SELECT * FROM standpipe_dead_letters") == []


def test_a_relay_that_sends_one_byte_a_write_is_read_all_the_same(
    setup, start_relay, relay_program, folder
):
    arguments = ["--frame-bytes", 700]
    small = Capture(*generate(relay_program, folder, 100, 3, *arguments, name="small"))
    daemon = run_against(setup, start_relay(small.frames, "--slow-bytes"), small)
    assert daemon.terminate() == 0
    assert small.differences(setup.database) == []


def letters(setup):
    """The raw frames of the mirror."""
    entries = setup.redis.client.xrange("firehose:dead-letters")
    return [fields[b"frame"] for _, fields in entries]


@pytest.mark.parametrize("what", [["--garbage", 50], ["--text-frames=20"]], ids=str)
def test_nonsense_between_frames_is_a_dead_letter_and_nothing_else(
    setup, start_relay, generated, what
):
    daemon = run_against(setup, start_relay(generated.frames, *what), generated)
    assert daemon.terminate() == 0
    assert generated.differences(setup.database) == []
    found = letters(setup)
    assert found and len(found) == len(set(found))


HALF = 100


@pytest.fixture
def two_hours(folder):
    """Frames of which the second half was sent an hour after the first: what a relay that counts anew
    sends is newer than all that it sent before."""
    repo = Repo(Sequence(), "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")
    frames = []
    for number in range(2 * HALF):
        repo.time = f"2024-01-01T0{number // HALF}:00:00.000Z"
        frames.append(repo.commit(Create(f"com.example.x/r{number}", {"n": number})))
    return write_frames(frames, folder / "two-hours.bin")


def test_a_sequence_that_runs_backwards_is_an_alarm_and_a_stop(setup, start_relay, two_hours):
    setup.relay = start_relay(two_hours, "--regress-after", HALF)
    daemon = setup.run(relay__cursor="oldest")
    daemon.process.wait_for_line("an operator has to decide")
    setup.wait_drained(HALF)
    assert setup.queued() == HALF
    assert daemon.terminate() == 0


def test_a_sequence_that_runs_backwards_opens_an_epoch_where_that_is_accepted(
    setup, start_relay, two_hours
):
    setup.relay = start_relay(two_hours, "--regress-after", HALF)
    daemon = setup.run(relay__cursor="oldest", relay__accept_sequence_reset="true")
    count = "SELECT count(DISTINCT epoch) FROM standpipe_cursor"
    wait_until(lambda: setup.database.has("standpipe_cursor") and setup.database.scalar(count) == 2,
               "a second epoch", 30, [daemon.process])
    setup.wait_drained(HALF, SECONDS)
    assert daemon.terminate() == 0
    assert oracle.differences(oracle.fold(two_hours), setup.database.state()) == []


def test_a_cursor_of_the_future_stops_and_alarms(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames, "--error-frame", "FutureCursor")
    daemon = setup.run(relay__cursor="oldest")
    daemon.process.wait_for_line("an operator has to decide")
    assert "FutureCursor" in daemon.process.text()
    assert daemon.terminate() == 0
    assert setup.relay.counters()["connections"] == 1
