"""A child process with its output in a file; it ends only what it started."""
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from .waiting import wait_until

SANITIZER_MARKS = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:")
SANITIZER_ENVIRONMENT = {
    "ASAN_OPTIONS": "exitcode=99:detect_leaks=1:abort_on_error=0",
    "LSAN_OPTIONS": "exitcode=99",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99",
    "TSAN_OPTIONS": "exitcode=99:second_deadlock_stack=1",
}

# Another time for what has this preloaded; None where it is not installed.
FAKETIME = next(iter(Path("/usr/lib").glob("*-linux-gnu/faketime/libfaketimeMT.so.1")), None)


def is_sanitized(program):
    text = Path(program).read_bytes()
    return b"__asan_init" in text or b"__tsan_init" in text


def clean_environment(extra=None):
    """Ours without what would configure standpipe, libpq or the sanitizers by accident."""
    dropped = ("STANDPIPE_", "PG", "REDIS_", "RELAY_", "DATABASE_", "NOTIFY_SOCKET")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
    return {**kept, **SANITIZER_ENVIRONMENT, **(extra or {})}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def as_user(name, command):
    """The command as another user where we are root, else as it is."""
    if os.geteuid() != 0:
        return command
    return [shutil.which("setpriv"), f"--reuid={name}", f"--regid={name}", "--init-groups", *command]


class Process:
    def __init__(self, name, command, log, environment=None):
        self.name, self.command, self.log = name, [str(part) for part in command], Path(log)
        with open(self.log, "ab") as output:
            self.child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=clean_environment(environment),
            )

    @property
    def pid(self):
        return self.child.pid

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def is_running(self):
        return self.child.poll() is None

    def check_alive(self):
        if not self.is_running():
            tail = self.text()[-2000:]
            raise AssertionError(f"{self.name} ended with {self.child.returncode}:\n{tail}")

    def wait_for_line(self, text, seconds=30):
        wait_until(lambda: text in self.text(), f"{self.name} says {text!r}", seconds, [self])

    def send(self, number):
        if self.is_running():
            self.child.send_signal(number)

    def wait(self, seconds=30):
        """The exit code; a negative one is a signal."""
        return self.child.wait(seconds)

    def stop(self, number=signal.SIGTERM, seconds=30):
        """Asks, waits, and then insists. Returns the exit code."""
        self.send(number)
        try:
            return self.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end within {seconds} s of signal {number}")

    def kill(self):
        self.send(signal.SIGKILL)
        return self.wait()

    def sanitizer_report(self):
        text = self.text()
        return text if any(mark in text for mark in SANITIZER_MARKS) else None
