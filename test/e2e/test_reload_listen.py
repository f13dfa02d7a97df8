"""http.listen is reloaded: where the new address is refused nothing has changed, and where it is taken only the address has."""
import http.client
import json
import signal
import socket

import pytest

from harness.process import free_port
from harness.waiting import wait_until


@pytest.fixture
def daemon(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames, "--rate", 300)
    return setup.run_from_file(relay__cursor="oldest").wait_ready()


class Stream:
    """One listener of the server-sent events, until they end."""

    def __init__(self, daemon):
        self.connection = http.client.HTTPConnection(daemon.settings["http.listen"], timeout=20)
        self.connection.request("GET", "/api/events/stream")
        self.answer = self.connection.getresponse()
        self.history = self.next("history")["points"]

    def next(self, wanted):
        """The data of the next event of this name; fails where the stream ends before."""
        name = None
        for line in self.answer:
            key, _, value = line.decode().rstrip("\n").partition(": ")
            if key == "event":
                name = value
            elif key == "data" and name == wanted:
                return json.loads(value)
            elif key == "data":
                assert name != "end", value
        raise AssertionError(f"the stream has ended without {wanted}")


def wait_history(daemon, points):
    return wait_until(lambda: len(Stream(daemon).history) >= points, f"{points} seconds of history", 30, [daemon.process])


def move(daemon, listen):
    daemon.file.set(http__listen=listen)
    before = daemon.verdicts()
    daemon.process.send(signal.SIGHUP)
    daemon.settings["http.listen"] = listen
    wait_until(lambda: daemon.verdicts() > before, "the verdict", 30, [daemon.process])
    assert not daemon.api()["reload"]["wasRefused"]


@pytest.mark.parametrize("holder, asked", [(None, "192.0.2.1"), ("127.0.0.2", "0.0.0.0"), ("127.0.0.2", "127.0.0.2")])
def test_an_address_of_the_same_port_that_is_refused_ends_no_stream(daemon, holder, asked):
    """192.0.2.1 is nobody's (RFC 5737); the other two would be free if nobody had the port at 127.0.0.2."""
    port = daemon.settings["http.listen"].rpartition(":")[2]
    with socket.socket() as other:
        if holder:
            other.bind((holder, int(port)))
            other.listen()
        wait_history(daemon, 3)
        stream = Stream(daemon)
        daemon.file.set(http__listen=f"{asked}:{port}")
        verdict = daemon.reload()
        assert verdict["wasRefused"] and "http.listen" in verdict["why"]
        assert stream.next("metrics")["reload"]["number"] == 0
        while stream.next("metrics")["reload"]["number"] == 0:  # it goes on behind the verdict
            pass
        again = Stream(daemon).history
        assert again[: len(stream.history)] == stream.history
    assert daemon.terminate() == 0


def test_a_move_says_so_and_takes_history_and_counters_along(daemon):
    ports = [daemon.settings["http.listen"].rpartition(":")[2], free_port()]
    wait_history(daemon, 3)
    answered = 'standpipe_http_responses_total{status="2xx"}'
    for listen in (f"0.0.0.0:{ports[0]}", f"127.0.0.1:{ports[0]}", f"localhost:{ports[0]}", f"127.0.0.1:{ports[1]}"):
        stream, before = Stream(daemon), daemon.metrics()
        move(daemon, listen)
        assert stream.next("end") == {"reason": "the address has changed"}
        again = Stream(daemon).history
        assert again[: len(stream.history)] == stream.history
        assert daemon.metrics()[answered] > before[answered]
    assert daemon.terminate() == 0
