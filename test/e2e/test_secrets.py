"""Passwords and the token: looked for everywhere a process leaves something behind, and found nowhere."""
import os
import resource
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from harness.limited_redis import PASSWORDS, LimitedRedis
from harness.process import as_user, clean_environment, free_port, is_sanitized

DONE = 0
REDIS, POSTGRES, KEY, TOKEN = PASSWORDS["STANDPIPE"], "open-sesame-51", "a-keys-own-phrase", "let-me-in-52"
SECRETS = (REDIS, POSTGRES, KEY, TOKEN)
PATHS = ["/", "/metrics", "/livez", "/readyz", "/health", "/ready", "/api/metrics", "/api/config",
         "/api/redis/dead-letters", "/api/history", "/nowhere"]
WAYS = ["set", "environment", "names of the reference system", "secret files", "configuration file"]
NOBODY = "daemon"  # a user that every Debian has and nothing runs under


@pytest.fixture
def redis(folder):
    server = LimitedRedis(folder / "redis").start()
    yield server
    server.stop()


def assert_silent(text, where):
    found = [secret for secret in SECRETS if secret in text]
    assert not found, f"{where} tells {found}:\n{text[-3000:]}"


def urls(setup):
    """The two URLs with all that can be secret in them."""
    return {
        "redis.url": setup.redis.url,
        "postgres.url": f"{setup.database.conninfo} password='{POSTGRES}' sslpassword={KEY}",
    }


class Given:
    """The same secrets, given in one of the ways: arguments and environment of a command."""

    def __init__(self, setup, way, settings):
        (setup.folder / "token").write_text(TOKEN + "\n")
        self.secret, self.way = urls(setup), way
        self.settings = {**setup.settings, "relay.url": setup.relay.url, "http.token_file": setup.folder / "token"}
        self.settings.update(settings)
        self.environment, self.file = {}, setup.folder / "given.conf"
        if way == "set":
            self.settings.update(self.secret)
        elif way == "configuration file":
            self.file.write_text("".join(
                f"[{key.split('.')[0]}]\n{key.split('.')[1]} = {value}\n" for key, value in self.secret.items()))
        elif way == "secret files":
            for key, value in self.secret.items():
                path = setup.folder / key
                path.write_text(value + "\n")
                self.environment[f"STANDPIPE_{key.replace('.', '_').upper()}_FILE"] = str(path)
        elif way == "environment":
            self.environment = {f"STANDPIPE_{key.replace('.', '_').upper()}": value for key, value in self.secret.items()}
        else:
            self.environment = {"REDIS_URL": self.secret["redis.url"], "DATABASE_URL": self.secret["postgres.url"]}

    def arguments(self):
        file = ["-c", self.file] if self.way == "configuration file" else []
        return [*file, *(word for key, value in self.settings.items() for word in ("--set", f"{key}={value}"))]


def command_line(pid):
    return Path(f"/proc/{pid}/cmdline").read_text()


@pytest.mark.parametrize("way, form", zip(WAYS, ["text", "json", "logfmt", "text", "json"]))
def test_no_secret_leaves_the_process(setup, start_relay, generated, way, form):
    setup.relay = start_relay(generated.frames)
    listen = f"127.0.0.1:{free_port()}"
    settings = {"relay.cursor": "oldest", "log.level": "debug", "log.format": form, "http.listen": listen}
    given = Given(setup, way, settings)
    daemon = setup.run_with(given.arguments(), given.settings, given.environment)
    setup.wait_drained(generated.last_sequence)
    assert_silent(command_line(daemon.pid), "the process list")
    for path in PATHS:
        assert_silent(daemon.get(path)[1], path)
        assert_silent(daemon.get(path, token=TOKEN)[1], f"{path} with the token")
    for words in (["status", "--json"], ["status"], ["check-config", "--print"], ["check-config", "--connect"],
                  ["cursor", "show"], ["dead", "list"], ["reload", "--wait"]):
        done = subprocess.run([setup.program, *words, *map(str, given.arguments())], capture_output=True, text=True,
                              timeout=60, stdin=subprocess.DEVNULL, env=clean_environment(given.environment))
        assert done.returncode == DONE, (words, done.stderr)
        assert_silent(done.stdout + done.stderr, words)
    daemon.process.send(signal.SIGUSR1)
    assert daemon.terminate() == DONE
    assert_silent(daemon.process.text(), "the log")


BAD_URLS = [
    f"redis.url=redis://user:{REDIS}@127.0.0.1:1/0",
    f"redis.url=redis://user:{REDIS}@host.invalid:6379/0",
    f"redis.url=redis://user:{REDIS}@127.0.0.1:port/0",
    f"redis.url=redis://user:{REDIS}/more@127.0.0.1:6379/0",
    f"redis.url=rediss://user:{REDIS}@127.0.0.1:1/0",
    f"redis.url=http://user:{REDIS}@127.0.0.1:1/0",
    f"postgres.url=postgresql://user:{POSTGRES}@127.0.0.1:1/standpipe",
    f"postgres.url=postgresql://user:{POSTGRES}@host.invalid/standpipe",
    f"postgres.url=postgresql://user:{POSTGRES}@[bad/standpipe",
    f"postgres.url=host=127.0.0.1 port=1 password={POSTGRES}",
    f"postgres.url=host=127.0.0.1 port=1 user='x password={POSTGRES}",
    f"postgres.url=host=127.0.0.1 port=1 sslpassword={KEY} nonsense=1",
    f"postgres.nourl=postgresql://user:{POSTGRES}@127.0.0.1:1/standpipe",
    f"relay.url=wss://user:{TOKEN}@127.0.0.1:1",
]


@pytest.mark.parametrize("setting", BAD_URLS)
def test_no_secret_is_in_the_error_of_a_url_that_is_wrong_or_leads_nowhere(setup, setting):
    for words in (["check-config", "--connect"], ["check-config", "--print"], ["migrate"], ["cursor", "show"]):
        command = [setup.program, *words, "--set", setting]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, env=clean_environment())
        assert_silent(done.stdout + done.stderr, (words, setting))
        assert done.returncode != DONE or "--print" in words


@pytest.mark.parametrize("service, said", [("redis", "WRONGPASS"), ("postgres", "nowhere")])
def test_a_password_that_is_refused_is_not_repeated(setup, start_relay, generated, service, said):
    setup.relay = start_relay(generated.frames)
    wrong = {"redis": setup.redis.url.replace(REDIS, TOKEN),
             "postgres": f"{setup.database.conninfo} dbname=nowhere password={POSTGRES}"}
    daemon = setup.run(**{f"{service}__url": wrong[service]})
    daemon.process.wait_for_line(said)
    assert_silent(daemon.get("/readyz")[1] + daemon.get("/api/metrics")[1], "readiness")
    assert daemon.terminate() == DONE
    assert_silent(daemon.process.text(), "the log")


@pytest.fixture
def as_nobody(setup, start_relay, generated):
    """A daemon under a user that nothing else runs under, with its limits for core files lifted."""
    if os.geteuid() != 0:
        pytest.skip("needs root: it starts processes as another user")
    setup.relay = start_relay(generated.frames)
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))

    def run(**settings):
        given = Given(setup, "environment", {"http.listen": f"127.0.0.1:{free_port()}", "relay.cursor": "oldest", **settings})
        room = setup.folder / "room"  # where the kernel may write a core file
        room.mkdir()
        room.chmod(0o777)
        program = as_user(NOBODY, ["env", "-C", room, shutil.copy(setup.program, setup.folder)])  # a checkout may be root's alone
        return setup.run_with(given.arguments(), given.settings, given.environment, "nobody", program).wait_ready()

    yield run
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def read_as_nobody(path):
    return subprocess.run(as_user(NOBODY, ["cat", str(path)]), capture_output=True, text=True, timeout=10)


def test_another_process_of_the_same_user_cannot_read_its_environment_or_memory(as_nobody):
    daemon = as_nobody()
    for name in ("environ", "mem", "maps"):
        assert read_as_nobody(f"/proc/{daemon.pid}/{name}").returncode != 0, name
    assert_silent(read_as_nobody(f"/proc/{daemon.pid}/cmdline").stdout, "the process list")
    assert daemon.terminate() == DONE


def crash(daemon):
    """True: the kernel wrote a core file, or gave one to the program that collects them."""
    os.kill(daemon.pid, signal.SIGSEGV)
    _, status = os.waitpid(daemon.pid, 0)
    daemon.process.child.returncode = status
    assert os.WIFSIGNALED(status)
    return os.WCOREDUMP(status)


@pytest.fixture
def crashing(standpipe):
    """Where a signal ends a process as it does anywhere else."""
    if is_sanitized(standpipe):
        pytest.skip("a sanitizer catches the signal")


def test_a_crash_leaves_no_core_file(as_nobody, crashing):
    assert not crash(as_nobody())


def test_who_wants_to_debug_may_say_so(as_nobody, crashing):
    daemon = as_nobody(**{"log.core_dumps": "true"})
    assert "STANDPIPE_REDIS_URL" in read_as_nobody(f"/proc/{daemon.pid}/environ").stdout
    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        pytest.skip("no process may leave a core file here")
    assert crash(daemon)
