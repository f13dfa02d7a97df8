"""Logs: every line parses, none tells a secret, and their number does not grow with the events."""
import json
import re

import pytest

SECRET = "open-sesame-51"
MOST_LINES = 150  # for 2,000 events, start and stop included
LOGFMT_PAIR = re.compile(r'[A-Za-z_][\w.]*=(?:"(?:[^"\\]|\\.)*"|[^\s"]*)')


def run_with_logs(setup, relay, capture, form, level="info"):
    setup.relay = relay
    secret = f"{setup.database.conninfo} password={SECRET}"
    settings = {"log__format": form, "log__level": level, "postgres__url": secret}
    daemon = setup.run(relay__cursor="oldest", **settings)
    setup.wait_drained(capture.last_sequence)
    assert daemon.terminate() == 0
    return daemon.process.text()


def is_logfmt(line):
    return LOGFMT_PAIR.sub("", line).strip() == ""


@pytest.mark.parametrize("form", ["text", "json", "logfmt"])
def test_lines_are_few_and_tell_no_secret(setup, start_relay, generated, form):
    text = run_with_logs(setup, start_relay(generated.frames), generated, form)
    assert 0 < len(text.splitlines()) < MOST_LINES
    assert SECRET not in text


@pytest.mark.parametrize("level", ["info", "debug"])
def test_every_json_line_is_an_object_with_time_level_and_message(
    setup, start_relay, generated, level
):
    text = run_with_logs(setup, start_relay(generated.frames), generated, "json", level)
    for line in text.splitlines():
        assert {"time", "level", "message"} <= json.loads(line).keys()
    assert SECRET not in text


def test_every_logfmt_line_is_pairs(setup, start_relay, generated):
    text = run_with_logs(setup, start_relay(generated.frames), generated, "logfmt")
    assert [line for line in text.splitlines() if not is_logfmt(line)] == []
