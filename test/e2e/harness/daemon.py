"""One `standpipe run`, and the one-shot commands beside it."""
import json
import re
import signal
import subprocess
import urllib.error
import urllib.request

from .process import Process, clean_environment, free_port
from .waiting import wait_until

# Small waits, so that tests need not be long; everything else is as a user gets it.
TEST_SETTINGS = {
    "ingest.lease_ms": 1000,
    "workers.threads": 2,
    "workers.pipelines": 2,
    "workers.claim_interval_ms": 500,
    "workers.claim_min_idle_ms": 2000,
}


class Setup:
    """Where one test's services are, as settings of standpipe."""

    def __init__(self, program, folder, redis, database, relay=None):
        self.program, self.folder = program, folder
        self.redis, self.database, self.relay = redis, database, relay
        self.settings, self.daemons = dict(TEST_SETTINGS), []

    def values(self, overrides=None):
        """Every key that is not left at its default."""
        settings = dict(self.settings)
        if self.redis:
            settings["redis.url"] = self.redis.url
        if self.database:
            settings["postgres.url"] = self.database.conninfo
        if self.relay:
            settings["relay.url"] = self.relay.url
        settings.update(overrides or {})
        return settings

    def arguments(self, overrides=None):
        settings = self.values(overrides)
        return [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]

    def run(self, name="standpipe", **overrides):
        """Starts a daemon; `relay__cursor="oldest"` is `--set relay.cursor=oldest`."""
        settings = {key.replace("__", "."): value for key, value in overrides.items()}
        settings.setdefault("http.listen", f"127.0.0.1:{free_port()}")
        settings.setdefault("workers.consumer_id", name)
        daemon = Daemon(self, name, settings)
        self.daemons.append(daemon)
        return daemon

    def run_from_file(self, name="standpipe", environment=None, **overrides):
        """Starts a daemon whose whole configuration is a file, for reloads."""
        settings = {key.replace("__", "."): value for key, value in overrides.items()}
        settings.setdefault("http.listen", f"127.0.0.1:{free_port()}")
        settings.setdefault("workers.consumer_id", name)
        file = ConfigurationFile(self.folder / f"{name}-{len(self.daemons)}.conf", self.values(settings))
        daemon = Daemon(self, name, settings, file, environment)
        self.daemons.append(daemon)
        return daemon

    def run_with(self, arguments, settings, environment, name="standpipe", program=None):
        """Starts a daemon by exactly these arguments and this environment; `settings`: what they come to."""
        daemon = Daemon(self, name, settings, None, environment, [*(program or [self.program]), "run", *arguments])
        self.daemons.append(daemon)
        return daemon

    def command(self, *words, environment=None, overrides=None, timeout=60, configured=True):
        """A one-shot command; returns the finished process with text output."""
        settings = self.arguments(overrides) if configured else []
        return subprocess.run(
            [self.program, *map(str, words), *settings],
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            env=clean_environment(environment),
        )

    # What Redis says of the stream.

    def stream(self):
        return self.redis.client

    def last_sequence(self, key="firehose:events"):
        """The sequence of the last ID that the stream generated; 0 without a stream."""
        if not self.stream().exists(key):
            return 0
        return int(self.stream().xinfo_stream(key)["last-generated-id"].decode().split("-")[1])

    def queued(self, key="firehose:events"):
        return int(self.stream().hget(f"{key}:meta", "queued") or 0)

    def progress(self, key="firehose:events", group="firehose-processors"):
        """(queued, last ID, delivered, pending) of one moment, for waiting and for messages."""
        if not self.stream().exists(key):
            return 0, b"0-0", b"0-0", 0
        # One transaction: figures of two moments can look drained while the first entries come in.
        looks = self.stream().pipeline(transaction=True)
        looks.hget(f"{key}:meta", "queued").xinfo_stream(key).xinfo_groups(key)
        queued, stream, groups = looks.execute()
        for entry in groups:
            if entry["name"] == group.encode():
                return int(queued or 0), stream["last-generated-id"], entry["last-delivered-id"], entry["pending"]
        return int(queued or 0), stream["last-generated-id"], b"0-0", 0

    def is_drained(self, sequence):
        queued, last, delivered, pending = self.progress()
        return queued >= sequence and last == delivered and pending == 0

    def wait_drained(self, sequence, seconds=90):
        """All up to `sequence` is in the stream, delivered and acknowledged."""
        running = [daemon.process for daemon in self.daemons if daemon.process.is_running()]
        wait_until(
            lambda: self.is_drained(sequence),
            lambda: f"drained to {sequence} (queued, last, delivered, pending: {self.progress()})",
            seconds,
            running,
        )

    def wait_held(self, daemon, seconds=30):
        """A batch waits for the lock on `repos` that the test has: it cannot end until the test lets go."""
        held = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'repos'::regclass"
        wait_until(lambda: self.database.scalar(held), "a batch waits for the lock", seconds, [daemon.process])

    def wait_new_epoch(self, epoch, seconds=30):
        meta = "firehose:events:meta"
        wait_until(
            lambda: int(self.stream().hget(meta, "epoch") or 0) > epoch,
            f"a new epoch after {epoch}",
            seconds,
        )

    def stop(self):
        for daemon in self.daemons:
            if daemon.process.is_running():
                daemon.process.kill()


class ConfigurationFile:
    def __init__(self, path, values):
        self.path, self.values = path, values
        self.write()

    def set(self, **changes):
        """`alerts__interval_ms=500`; None takes the key out. Written whole, as an editor does it."""
        for name, value in changes.items():
            key = name.replace("__", ".")
            self.values.pop(key, None)
            if value is not None:
                self.values[key] = value
        self.write()

    def write(self):
        sections = {}
        for key, value in self.values.items():
            section, _, name = key.partition(".")
            sections.setdefault(section, []).append(f"{name} = {value}\n")
        text = "".join(f"[{section}]\n{''.join(lines)}" for section, lines in sections.items())
        self.write_text(text)

    def write_text(self, text):
        draft = self.path.with_suffix(".draft")
        draft.write_text(text)
        draft.rename(self.path)


class Daemon:
    def __init__(self, setup, name, settings, file=None, environment=None, command=None):
        self.setup, self.name, self.settings, self.file = setup, name, settings, file
        log = setup.folder / f"{name}-{len(setup.daemons)}.log"
        given = ["-c", file.path] if file else setup.arguments(settings)
        self.process = Process(name, command or [setup.program, "run", *given], log, environment)

    @property
    def pid(self):
        return self.process.pid

    def get(self, path, seconds=5, token=None):
        """(status, body); status 0 where nobody answers."""
        address = f"http://{self.settings['http.listen']}{path}"
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            request = urllib.request.Request(address, headers=headers)
            with urllib.request.urlopen(request, timeout=seconds) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()
        except OSError:
            return 0, ""

    def wait_ready(self, seconds=30):
        wait_until(
            lambda: self.get("/readyz")[0] == 200,
            lambda: f"/readyz is 200 ({self.get('/readyz')})",
            seconds,
            [self.process],
        )
        return self

    def metrics(self):
        """name{labels} -> value of the Prometheus page; empty where it is not served, as with too many connections."""
        found = {}
        status, page = self.get("/metrics")
        for line in page.splitlines() if status == 200 else []:
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                found[name] = float(value)
        return found

    def api(self):
        return json.loads(self.get("/api/metrics")[1])

    def verdicts(self):
        """How many reloads it has judged; -1 where it does not answer, as while its listener moves."""
        status, body = self.get("/api/metrics")
        return json.loads(body)["reload"]["number"] if status == 200 else -1

    def reload(self, seconds=30, **changes):
        """Changes the file, sends SIGHUP and returns the verdict, as /api/metrics has it."""
        before = self.verdicts()
        if changes:
            self.file.set(**changes)
        self.process.send(signal.SIGHUP)
        wait_until(lambda: self.verdicts() > before, "the reload's verdict", seconds, [self.process])
        return self.api()["reload"]

    def wait_running(self, seconds=30):
        """All stages are open; its dependencies may still be away."""
        self.process.wait_for_line(" running", seconds)
        return self

    def ops_written(self):
        """Ops that changed a row, by the progress that SIGUSR1 logs: growth since the line before."""
        lines = self.process.text().count(" progress ")
        self.process.send(signal.SIGUSR1)
        wait_until(
            lambda: self.process.text().count(" progress ") > lines,
            f"{self.name} logs its progress",
            10,
            [self.process],
        )
        return sum(int(number) for number in re.findall(r" ops_written=(\d+)", self.process.text()))

    def terminate(self, seconds=30):
        """Waits for the first log line: before, a signal ends any program as it is."""
        wait_until(self.process.text, "the first log line", 30, [self.process])
        return self.process.stop(signal.SIGTERM, seconds)

    def kill(self):
        return self.process.kill()
