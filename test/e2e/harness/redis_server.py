"""A private redis-server on a unix socket, AOF every second, noeviction."""
import redis

from .process import Process
from .waiting import wait_until


class RedisServer:
    def __init__(self, folder, extra=()):
        self.folder, self.extra, self.process = folder, list(extra), None
        folder.mkdir(parents=True, exist_ok=True)
        self.socket = folder / "redis.sock"
        self.client = redis.Redis(unix_socket_path=str(self.socket), decode_responses=False)

    @property
    def url(self):
        return f"unix://{self.socket}"

    @property
    def pid(self):
        return self.process.pid

    def command(self):
        settings = {
            "port": "0",
            "unixsocket": self.socket,
            "dir": self.folder,
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "save": "",
            "daemonize": "no",
        }
        command = ["redis-server"]
        for key, value in settings.items():
            command += [f"--{key}", value]
        return command + self.extra

    def start(self):
        self.process = Process("redis", self.command(), self.folder / "redis.log")
        wait_until(self.answers, "redis answers", 30, [self.process])
        return self

    def answers(self):
        try:
            return self.client.ping()
        except redis.RedisError:
            return False

    def stop(self):
        if self.process and self.process.is_running():
            self.client.close()
            self.process.stop()

    def kill(self):
        self.client.close()
        self.process.kill()
