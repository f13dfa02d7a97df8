"""The test relay: serves a frame file, or frames that it generates, over ws or wss."""
import json
import subprocess

from .process import Process, clean_environment, free_port
from .waiting import wait_until


class Relay:
    """`arguments` are the relay's own; `port` keeps the name of the sequence space over restarts."""

    def __init__(self, program, folder, *arguments, port=None, tls=None):
        self.program, self.folder, self.arguments = program, folder, [str(part) for part in arguments]
        self.port, self.tls, self.process = port or free_port(), tls, None

    @property
    def url(self):
        return f"{'wss' if self.tls else 'ws'}://127.0.0.1:{self.port}"

    def command(self):
        command = [self.program, "--listen", f"127.0.0.1:{self.port}", *self.arguments]
        if self.tls:
            command += ["--tls-cert", self.tls.certificate, "--tls-key", self.tls.key]
        return command

    def start(self):
        self.process = Process("relay", self.command(), self.folder / f"relay-{self.port}.log")
        wait_until(lambda: self.is_listening(), "the relay listens", 30, [self.process])
        return self

    def is_listening(self):
        with open("/proc/net/tcp", encoding="ascii") as table:
            lines = [line.split() for line in table]
        return any(line[1].endswith(f":{self.port:04X}") and line[3] == "0A" for line in lines[1:])

    def stop(self):
        if self.process and self.process.is_running():
            self.process.stop()

    def counters(self):
        """What it did, by its own count; it tells when it ends."""
        self.stop()
        return json.loads(self.process.text().strip().splitlines()[-1])


def generate(program, folder, count, seed, *arguments, name="generated"):
    """Writes a frame file and its truth, and returns both paths."""
    frames, truth = folder / f"{name}.bin", folder / f"{name}.truth.jsonl"
    command = [program, "--generate", str(count), "--seed", str(seed), "--write", str(frames)]
    command += ["--truth", str(truth), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, env=clean_environment(), timeout=120)
    assert done.returncode == 0, f"{command}: {done.stderr.decode()}"
    return frames, truth
