"""`standpipe reload`: asks the running daemon and tells its verdict."""
import signal

import pytest

from harness.process import free_port


@pytest.fixture
def daemon(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    return setup.run_from_file(relay__cursor="oldest").wait_ready()


def reload(setup, daemon, *words):
    return setup.command("reload", "-c", daemon.file.path, *words, configured=False)


def test_what_changed_is_printed_with_how_it_is_felt(setup, daemon):
    daemon.file.set(log__level="warning", workers__batch_size=99, stream__group="other", relay__collections="a.b.*")
    done = reload(setup, daemon, "--wait")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "relay.collections:  -> a.b.* (reconnected)",
        "stream.group: firehose-processors -> other (needs a restart)",
        "workers.batch_size: 300 -> 99 (reconnected)",
        "log.level: info -> warning (at once)",
        "reloaded",
    ]
    assert reload(setup, daemon, "--wait").stdout.splitlines()[-1] == "reloaded"  # the group still waits
    daemon.file.set(stream__group=None)
    assert reload(setup, daemon, "--wait").stdout == "reloaded: nothing has changed\n"


def test_without_wait_it_only_asks(setup, daemon):
    before = daemon.verdicts()
    done = reload(setup, daemon)
    assert done.returncode == 0 and f"asked process {daemon.pid}" in done.stdout
    daemon.process.wait_for_line("config reloaded")
    assert daemon.verdicts() == before + 1


def test_a_verdict_that_refuses_says_why_and_exits_with_1(setup, daemon):
    daemon.file.set(redis__url="redis://127.0.0.1:1")
    done = reload(setup, daemon, "--wait")
    assert done.returncode == 1
    assert "standpipe: reload: refused, the old configuration stays: redis.url" in done.stderr


def test_a_wrong_configuration_is_told_before_the_daemon_is_asked_and_exits_with_2(setup, daemon):
    before = daemon.verdicts()
    daemon.file.set(workers__batch_size=0)
    done = reload(setup, daemon, "--wait")
    assert done.returncode == 2 and "workers.batch_size" in done.stderr
    daemon.file.set(workers__batch_size=None)
    done = reload(setup, daemon, "--wait", "--set", "log.level=zzz")
    assert done.returncode == 2 and "log.level" in done.stderr
    assert daemon.verdicts() == before


def test_the_token_of_the_configuration_is_given(setup, daemon, folder):
    token = folder / "token"
    token.write_text("sesame\n")
    daemon.file.set(http__token_file=token)
    assert reload(setup, daemon, "--wait").returncode == 0  # it had none before
    assert daemon.get("/api/metrics")[0] == 401
    assert reload(setup, daemon, "--wait").returncode == 0


def test_a_token_that_was_changed_in_its_file_needs_no_signal_first(setup, daemon, folder):
    token = folder / "token"
    token.write_text("sesame\n")
    daemon.file.set(http__token_file=token)
    assert reload(setup, daemon, "--wait").returncode == 0
    token.write_text("another\n")
    daemon.file.set(workers__batch_size=98)
    done = reload(setup, daemon, "--wait")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["workers.batch_size: 300 -> 98 (reconnected)", "reloaded"]
    assert [daemon.get("/api/metrics", token=given)[0] for given in ("another", "sesame")] == [200, 401]


def test_another_token_file_wants_the_one_of_before_once(setup, daemon, folder):
    old, new = folder / "old", folder / "new"
    old.write_text("sesame\n")
    new.write_text("another\n")
    daemon.file.set(http__token_file=old)
    assert reload(setup, daemon, "--wait").returncode == 0
    daemon.file.set(http__token_file=new)
    done = reload(setup, daemon, "--wait")
    assert done.returncode == 1 and "--set http.token_file=" in done.stderr and "SIGHUP" in done.stderr
    done = reload(setup, daemon, "--wait", "--set", f"http.token_file={old}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("reloaded\n")
    assert [daemon.get("/api/metrics", token=given)[0] for given in ("another", "sesame")] == [200, 401]


def test_where_nobody_listens_it_says_what_to_do(setup, daemon):
    done = reload(setup, daemon, "--set", f"http.listen=127.0.0.1:{free_port()}", "--wait")
    assert done.returncode == 0, done.stderr  # the file's own address answers
    daemon.process.stop(signal.SIGTERM)
    done = reload(setup, daemon, "--wait")
    assert done.returncode == 3 and "does standpipe run" in done.stderr
    done = reload(setup, daemon, "--set", "http.listen=")
    assert done.returncode == 3 and "http.listen" in done.stderr


def test_a_listener_that_moves_is_found_at_its_new_address(setup, daemon):
    old = daemon.settings["http.listen"]
    daemon.file.set(http__listen=f"127.0.0.1:{free_port()}")
    done = reload(setup, daemon, "--set", f"http.listen={old}", "--wait")
    assert done.returncode == 0, done.stderr
    assert "http.listen" in done.stdout and done.stdout.endswith("reloaded\n")
