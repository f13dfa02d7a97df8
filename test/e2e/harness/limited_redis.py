"""A redis-server with the users of conf/redis-acl.conf: standpipe is limited, the test is `operator`."""
import threading
from pathlib import Path

import redis

from .process import free_port
from .redis_server import RedisServer

ACL_FILE = Path(__file__).resolve().parents[3] / "conf" / "redis-acl.conf"
PASSWORDS = {"OPERATOR": "operators-own", "STANDPIPE": "only-what-it-needs"}


class LimitedRedis(RedisServer):
    def __init__(self, folder, text=None):
        self.port = free_port()
        super().__init__(folder)
        users = text or ACL_FILE.read_text()
        for name, password in PASSWORDS.items():
            users = users.replace(f">CHANGE-{name}", f">{password}")
        (folder / "users.conf").write_text(users)
        self.client = redis.Redis(
            unix_socket_path=str(self.socket), username="operator", password=PASSWORDS["OPERATOR"]
        )

    def command(self):
        """The file with the users comes first, as redis-server has it."""
        program, *settings = super().command()
        return [program, self.folder / "users.conf", *settings, "--port", str(self.port), "--bind", "127.0.0.1"]

    @property
    def url(self):
        return f"redis://standpipe:{PASSWORDS['STANDPIPE']}@127.0.0.1:{self.port}/0"

    def as_standpipe(self):
        return redis.Redis(port=self.port, username="standpipe", password=PASSWORDS["STANDPIPE"])

    def allowed(self):
        """The commands of the file (Redis tells them as it likes), as `xgroup|create`."""
        rules = (self.folder / "users.conf").read_text().partition("user standpipe ")[2].split()
        return {rule[1:] for rule in rules if rule.startswith("+")}

    def refusals(self):
        return [(entry["reason"], entry["object"], entry["username"]) for entry in self.client.acl_log()]


class Listener:
    """MONITOR: every command that was not the test's own (those come over the socket)."""

    CONTAINERS = ("client", "script", "xgroup", "xinfo")

    def __init__(self, server):
        self.used, self.server = set(), server
        self.is_listening = threading.Event()
        self.thread = threading.Thread(target=self.listen, daemon=True)

    def __enter__(self):
        self.thread.start()
        assert self.is_listening.wait(10)
        return self

    def listen(self):
        with self.server.client.monitor() as monitor:
            self.is_listening.set()
            for command in monitor.listen():
                words = command["command"].split(" ")
                name = words[0].lower()
                if command["client_type"] == "unix":
                    if command["command"].endswith("the listener may go"):
                        return
                    continue
                if name not in ("", "auth"):  # the second needs no right
                    self.used.add(f"{name}|{words[1].lower()}" if name in self.CONTAINERS else name)

    def __exit__(self, *_):
        self.server.client.echo("the listener may go")
        self.thread.join(10)
        assert not self.thread.is_alive()
