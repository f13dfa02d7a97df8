"""One whole life of the daemon under valgrind's memcheck: what the sanitizers do not see, uninitialised values first."""
import shutil
import signal

from harness.process import free_port
from harness.waiting import wait_until

ERRORS = 98
SECONDS = 300  # everything is thirty times slower


def under_valgrind(setup, report, **settings):
    valgrind = [shutil.which("valgrind"), "--quiet", "--leak-check=full", "--show-leak-kinds=definite,possible"]
    valgrind += ["--errors-for-leak-kinds=definite", "--track-origins=yes", f"--error-exitcode={ERRORS}", f"--log-file={report}"]
    given = {key.replace("__", "."): value for key, value in settings.items()}
    given |= {"http.listen": f"127.0.0.1:{free_port()}", "workers.consumer_id": "memcheck"}
    return setup.run_with(setup.arguments(given), given, None, "memcheck", [*valgrind, setup.program])


def test_memcheck_has_nothing_to_say_of_a_whole_life(setup, start_relay, generated, folder, state):
    setup.relay = start_relay(generated.frames, "--duplicate", 100, "--garbage", 10)
    assert setup.command("migrate").returncode == 0
    report = folder / "valgrind.report"
    daemon = under_valgrind(setup, report, relay__cursor="oldest")
    setup.wait_drained(generated.last_sequence, SECONDS)
    wait_until(lambda: daemon.get("/readyz", SECONDS)[0] == 200, "ready", SECONDS, [daemon.process])
    for path in ("/", "/metrics", "/api/metrics", "/api/redis/dead-letters", "/nothing"):
        assert daemon.get(path, SECONDS)[0] in (200, 404)
    cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    assert setup.database.scalar(cut) > 0
    daemon.process.send(signal.SIGHUP)
    wait_until(lambda: "reload" in daemon.process.text(), "it answers the reload", SECONDS, [daemon.process])
    status = daemon.terminate(SECONDS)
    assert status == 0, report.read_text()[-8000:]
    assert generated.differences(setup.database) == []
    state("memcheck", f"nothing to say of {len(generated.events)} events, cut connections, a reload and a drain")
