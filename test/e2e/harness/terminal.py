"""A terminal: tmux with a server of its own, which tells what stands on the screen."""
import os
import shlex
import subprocess

from .process import clean_environment
from .waiting import wait_until

BASE = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}


class Terminal:
    """Runs a command in a shell that says what it came to, so that what is left behind shows too."""

    def __init__(self, folder, command, width=80, height=24, **environment):
        self.socket = str(folder / "tmux.sock")
        line = " ".join(shlex.quote(str(part)) for part in command)
        self.tmux(
            "-f", "/dev/null", "new-session", "-d", "-x", str(width), "-y", str(height),
            f"sh -c {shlex.quote(f'trap : INT; echo before; {line}; echo ended with $?; stty -a; cat')}",
            environment={**BASE, **environment},
        )

    def tmux(self, *words, environment=None):
        done = subprocess.run(
            ["tmux", "-S", self.socket, *words],
            capture_output=True,
            text=True,
            timeout=30,
            env={**clean_environment(), **BASE, **(environment or {})},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def screen(self, *options):
        return self.tmux("capture-pane", "-p", *options)

    def wait_for(self, text, seconds=30):
        wait_until(lambda: text in self.screen(), lambda: f"{text!r} is on the screen:\n{self.screen()}", seconds)
        return self.screen()

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def resize(self, width, height):
        self.tmux("resize-window", "-x", str(width), "-y", str(height))

    def close(self):
        if os.path.exists(self.socket):
            subprocess.run(["tmux", "-S", self.socket, "kill-server"], capture_output=True, timeout=30)
