"""One `standpipe run` behind doors of its own, and how it is ended and started again.

Each run of it has a log of its own. A node that ends without having been told to is a failure, and so
is one that says that it panics: `unexpected` collects them.
"""
import os
import signal

import psutil

from harness.process import FAKETIME, Process, free_port

SHUTDOWN_SECONDS = 25
BAD_WORDS = ("panic", "assertion", "AddressSanitizer", "runtime error:", "Segmentation")


class Node:
    def __init__(self, world, name, settings, has_clock):
        self.world, self.name, self.settings = world, name, dict(settings)
        self.doors = {}  # service -> Door
        self.process, self.runs, self.is_wanted = None, 0, False
        self.unexpected = []
        self.exits = []
        self.clock = world.folder / f"{name}.clock" if has_clock and FAKETIME and not world.is_sanitized else None
        self.settings["http.listen"] = f"127.0.0.1:{free_port()}"
        self.settings["workers.consumer_id"] = name

    def urls(self):
        redis, postgres, relay = (self.doors[name].port for name in ("redis", "postgres", "relay"))
        return {
            "redis.url": f"redis://127.0.0.1:{redis}/0",
            "postgres.url": f"host=127.0.0.1 port={postgres} user=postgres dbname=postgres",
            "relay.url": f"ws://127.0.0.1:{relay}",
        }

    def environment(self):
        if self.clock is None:
            return {}
        if not self.clock.exists():
            self.step_clock(0)
        return {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(self.clock),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_CACHE_DURATION": "1",
        }

    def step_clock(self, seconds):
        new = self.clock.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        os.replace(new, self.clock)

    @property
    def log(self):
        return self.world.folder / f"{self.name}-{self.runs}.log"

    def start(self, **overrides):
        self.check()
        self.runs += 1
        settings = {**self.world.settings, **self.settings, **self.urls(), **overrides}
        command = [self.world.program, "run"]
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        self.process = Process(self.name, command, self.log, self.environment())
        self.is_wanted = True

    def is_running(self):
        return self.process is not None and self.process.is_running()

    def kill(self):
        self.check()
        self.is_wanted = False
        self.process.kill()

    def terminate(self):
        """SIGTERM. Undrained work may make it leave with 1, but it has to leave in time."""
        self.check()
        self.is_wanted = False
        try:
            code = self.process.stop(signal.SIGTERM, SHUTDOWN_SECONDS + 10)
        except AssertionError as error:
            self.unexpected.append(str(error))
            return None
        self.exits.append(code)
        if code != 0 and not (code == 1 and "not drained in time" in self.process.text()):
            self.unexpected.append(f"{self.name} ended with {code} after SIGTERM: {self.log.name}")
        return code

    def check(self):
        """Notes where it ended by itself."""
        if self.is_wanted and self.process is not None and not self.process.is_running():
            self.is_wanted = False
            self.unexpected.append(
                f"{self.name} ended by itself with {self.process.child.returncode}: {self.log.name}: "
                + self.process.text()[-300:]
            )

    def logs(self):
        return sorted(self.world.folder.glob(f"{self.name}-*.log"))

    def bad_lines(self):
        found = []
        for log in self.logs():
            for line in log.read_text(errors="replace").splitlines():
                if any(word in line for word in BAD_WORDS):
                    found.append(f"{log.name}: {line[:300]}")
        return found

    def usage(self):
        """(resident bytes, descriptors) of now."""
        process = psutil.Process(self.process.pid)
        return process.memory_info().rss, process.num_fds()
