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
    values = [value for line in text.splitlines() for value in json.loads(line).values()]
    assert any(isinstance(value, bool) for value in values)  # new_epoch of the first position
    assert not {"true", "false"} & {value for value in values if isinstance(value, str)}


def test_every_logfmt_line_is_pairs(setup, start_relay, generated):
    text = run_with_logs(setup, start_relay(generated.frames), generated, "logfmt")
    assert [line for line in text.splitlines() if not is_logfmt(line)] == []


def fields_of_text(line):
    """(level, object, message without its figures, names of fields) of a line of text."""
    _, level, name, rest = line.split(" ", 3)
    names = [pair.split("=", 1)[0] for pair in LOGFMT_PAIR.findall(rest)]
    return level, name, re.split(r" [A-Za-z_][\w.]*=", rest)[0], names


def fields_of_json(line):
    pairs = json.loads(line)
    head = [pairs.pop(name) for name in ("time", "level", "object", "message")]
    return (*head[1:], list(pairs))


def fields_of_logfmt(line):
    pairs = [pair.split("=", 1) for pair in LOGFMT_PAIR.findall(line)]
    assert [name for name, _ in pairs[:4]] == ["time", "level", "object", "message"]
    level, name, message = (value.strip('"') for _, value in pairs[1:4])
    return level, name, message, [name for name, _ in pairs[4:]]


def test_the_three_formats_of_a_run_carry_the_same_fields(setup, start_relay, generated):
    """Of the lines that every run has, whatever its times and addresses are."""
    parsers = {"text": fields_of_text, "json": fields_of_json, "logfmt": fields_of_logfmt}
    relay, found = start_relay(generated.frames), {}
    for form, parse in parsers.items():
        setup.relay = relay
        daemon = setup.run(relay__cursor="oldest", log__format=form).wait_ready()
        daemon.process.wait_for_line("ready", 30)
        setup.wait_drained(generated.last_sequence)
        assert daemon.terminate() == 0
        lines = [parse(line) for line in daemon.process.text().splitlines()]
        wanted = ("running", "ready", "stopping", "stopped", "listening")
        found[form] = {line[2]: line for line in lines if line[1] in ("standpipe", "http") and line[2] in wanted}
    assert len(found["text"]) == 5
    assert found["text"] == found["json"] == found["logfmt"]


def test_a_redis_that_goes_away_is_a_line_and_not_one_for_each_connection(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    daemon = setup.run(relay__cursor="oldest", workers__pipelines=8).wait_ready()
    setup.wait_drained(generated.last_sequence)
    setup.redis.stop()
    daemon.process.wait_for_line("redis connections lost", 30)
    setup.redis.start()
    daemon.process.wait_for_line("redis all connections are back", 60)
    assert daemon.terminate() == 0
    lines = [line for line in daemon.process.text().splitlines() if "connections lost" in line]
    assert 1 <= len(lines) <= 8 and "suppressed=0" not in daemon.process.text()
