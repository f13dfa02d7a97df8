"""`standpipe status`: the screen, the line, the JSON, and the redrawing in a real terminal."""
import json
import re

import pytest

from harness.terminal import Terminal
from harness.waiting import wait_until


@pytest.fixture
def daemon(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    daemon = setup.run(relay__cursor="oldest").wait_ready()
    setup.wait_drained(generated.last_sequence)
    # What the daemon says of Redis' ledger is a second old at most: a page from before the events has none of them.
    wait_until(lambda: has_balanced(daemon), lambda: f"all in the ledger ({daemon.api()['ledger']})", 30, [daemon.process])
    return daemon


def has_balanced(daemon):
    ledger = daemon.api()["ledger"]
    return 0 < ledger["appended"] == ledger["committed"] + ledger["dead"]


def status(setup, daemon, *options, **overrides):
    return setup.command("status", *options, overrides={**daemon.settings, **overrides})


@pytest.fixture
def start_terminal(setup, folder):
    started = []

    def start(daemon, *options, **settings):
        words = ["status", "--watch", *options, *setup.arguments(daemon.settings)]
        started.append(Terminal(folder, [setup.program, *words], **settings))
        return started[-1]

    yield start
    for terminal in started:
        terminal.close()


def test_the_screen_says_what_the_api_says(setup, daemon, generated):
    done = status(setup, daemon)
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert re.match(r"standpipe \d\S*  ready ", lines[0])
    committed = f"{daemon.api()['ledger']['committed']:,}"
    assert [line for line in lines if re.search(rf"committed +{committed}\b", line)]
    for part in ("relay", "redis", "postgres", "backlog", "dead letters"):
        assert [line for line in lines if re.match(rf"{part} +ready ", line)], done.stdout
    assert "The ledger balances." in lines
    assert "\x1b" not in done.stdout and max(map(len, lines)) <= 80


def test_json_is_one_document_with_the_ledger(setup, daemon, generated):
    done = status(setup, daemon, "--json")
    page = json.loads(done.stdout)
    assert done.returncode == 0 and done.stdout.count("\n") == 1
    assert page["ledger"]["appended"] == daemon.api()["ledger"]["appended"]
    assert page["ready"] is True
    # The events are old: until all are committed, a look may find them late.
    wait_until(lambda: daemon.api()["alerts"] == [], lambda: f"no alert ({daemon.api()['alerts']})", 30, [daemon.process])
    assert json.loads(status(setup, daemon, "--json").stdout)["alerts"] == []


def test_it_finds_a_daemon_that_listens_on_every_address(setup, daemon):
    port = daemon.settings["http.listen"].split(":")[1]
    done = status(setup, daemon, "--check", **{"http.listen": f"0.0.0.0:{port}"})
    assert (done.returncode, done.stdout) == (0, "ready\n")


def test_it_shows_the_token_and_needs_it(setup, start_relay, generated, folder):
    (folder / "token").write_text("secret-1\n")
    setup.relay = start_relay(generated.frames)
    daemon = setup.run(http__token_file=folder / "token").wait_ready()
    assert status(setup, daemon).returncode == 0
    done = status(setup, daemon, **{"http.token_file": ""})
    assert done.returncode == 1 and "token" in done.stderr and "secret-1" not in done.stderr


def test_the_check_tells_ready_not_ready_alive_and_away_apart(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    daemon = setup.run(postgres__url="host=/nonexistent dbname=x")
    wait_until(lambda: daemon.get("/livez")[0] == 200, "alive", 30, [daemon.process])
    done = status(setup, daemon, "--check")
    assert done.returncode == 1 and re.match(r"not ready: \w+ \w+: .+\n$", done.stdout)
    done = status(setup, daemon, "--check", "--live")
    assert (done.returncode, done.stdout) == (0, "alive\n")
    assert daemon.terminate() == 0
    for options in (["--check"], ["--check", "--live"], ["--json"], []):
        done = status(setup, daemon, *options)
        assert done.returncode == 3 and done.stdout == ""
        assert re.match(r"standpipe: status: .+: .+\n$", done.stderr)


def test_watching_needs_a_terminal(setup, daemon):
    done = status(setup, daemon, "--watch")
    assert done.returncode == 2 and "no terminal" in done.stderr


def test_it_redraws_fits_a_new_size_and_gives_the_terminal_back(daemon, start_terminal):
    terminal = start_terminal(daemon)
    first = terminal.wait_for("The ledger balances.")
    assert len(first.rstrip("\n").split("\n")) <= 24 and "before" not in first
    wait_until(lambda: "▁▁▁" in terminal.screen(), "sparklines grow", 30)
    terminal.resize(120, 40)
    terminal.wait_for("worker 1 ")
    terminal.resize(60, 10)
    wait_until(lambda: "worker 1 " not in terminal.screen(), "it shrinks", 30)
    assert terminal.screen().startswith("standpipe ")
    terminal.resize(80, 40)
    terminal.keys("C-c")
    left = terminal.wait_for("icanon")  # the last words: what stty says of the terminal
    assert "before" in left and "ended with 0" in left and "relay" not in left
    assert re.search(r"(?<!-)icanon", left) and re.search(r"(?<!-)echo\b", left)


def test_q_leaves(daemon, start_terminal):
    terminal = start_terminal(daemon)
    terminal.wait_for("relay ")
    terminal.keys("q")
    terminal.wait_for("ended with 0")


def test_it_survives_a_restart_of_the_daemon_and_says_so(setup, daemon, start_terminal):
    terminal = start_terminal(daemon)
    terminal.wait_for("ready")
    assert daemon.terminate() == 0
    screen = terminal.wait_for("no answer")
    assert "Connection refused" in screen and "What follows is from" in screen
    again = setup.run(http__listen=daemon.settings["http.listen"]).wait_ready()
    screen = terminal.wait_for("restarted")
    assert "no answer" not in screen
    assert again.terminate() == 0


@pytest.mark.parametrize("environment, has_colours", [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_are_left_out_where_they_are_not_wanted(daemon, start_terminal, environment, has_colours):
    terminal = start_terminal(daemon, **environment)
    terminal.wait_for("relay ")
    assert ("\x1b[32m" in terminal.screen("-e")) is has_colours


def test_letters_stand_in_for_blocks_where_the_terminal_has_no_utf8(daemon, start_terminal):
    terminal = start_terminal(daemon, LANG="C", LC_ALL="C")
    terminal.wait_for("relay ")
    assert terminal.screen().isascii()
