"""The socket of an init system: what standpipe tells systemd, message by message."""
import socket

from .waiting import wait_until


class NotifySocket:
    def __init__(self, name):
        """A path, or @name in the abstract space."""
        self.name, self.messages = str(name), []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind("\0" + self.name[1:] if self.name.startswith("@") else self.name)

    def environment(self, **more):
        return {"NOTIFY_SOCKET": self.name, **more}

    def read(self):
        """All messages so far, each as a dictionary."""
        while True:
            try:
                text = self.socket.recv(4096).decode()
            except BlockingIOError:
                return self.messages
            self.messages.append(dict(line.split("=", 1) for line in text.splitlines()))

    def count(self, name, value=None):
        return sum(1 for message in self.read() if name in message and value in (None, message[name]))

    def wait_for(self, name, value=None, more_than=0, seconds=30, watched=()):
        wait_until(
            lambda: self.count(name, value) > more_than,
            lambda: f"{name}={value or '...'} more than {more_than} times ({self.messages[-5:]})",
            seconds,
            watched,
        )

    def last(self, name):
        return next((message[name] for message in reversed(self.read()) if name in message), None)

    def close(self):
        self.socket.close()
