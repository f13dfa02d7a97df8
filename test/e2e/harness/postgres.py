"""A private PostgreSQL cluster on a unix socket; databases are made and dropped per test."""
import os
import shutil
import signal
import subprocess
from pathlib import Path

import psycopg

from .process import Process, as_user, clean_environment
from .waiting import wait_until

SETTINGS = {
    "listen_addresses": "''",
    "max_connections": "60",
    "shared_buffers": "128MB",
    "autovacuum_naptime": "10s",
    "log_min_messages": "warning",
}


def program(name):
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return str(found[-1]) if found else shutil.which(name)


class PostgresCluster:
    def __init__(self, folder, settings=None):
        self.folder, self.data, self.process = folder, folder / "data", None
        self.settings = {**SETTINGS, "unix_socket_directories": f"'{folder}'", **(settings or {})}

    @property
    def pid(self):
        return self.process.pid

    def own(self):
        """The folder and all in it belong to the user that runs the server."""
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", "postgres:", self.folder], check=True)

    def initdb(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        self.own()
        command = [program("initdb"), "-D", self.data, "-U", "postgres", "-A", "trust"]
        command += ["--no-sync", "-E", "UTF8", "--locale=C.UTF-8"]
        command = as_user("postgres", [str(part) for part in command])
        done = subprocess.run(command, cwd="/", capture_output=True, env=clean_environment())
        assert done.returncode == 0, done.stderr.decode()
        return self

    def copy_from(self, other):
        """A cluster of its own from one that was only initialised."""
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(other.data, self.data)
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        self.own()
        return self

    def start(self, wait=True):
        command = [program("postgres"), "-D", self.data]
        for key, value in self.settings.items():
            command += ["-c", f"{key}={value}".replace("'", "")]
        command = as_user("postgres", [str(part) for part in command])
        log = self.folder.parent / f"{self.folder.name}.log"
        self.process = Process("postgres", command, log)
        if wait:
            wait_until(self.answers, "postgres answers", 60, [self.process])
        return self

    def conninfo(self, database="postgres"):
        return f"host={self.folder} dbname={database} user=postgres"

    def connect(self, database="postgres"):
        return psycopg.connect(self.conninfo(database), autocommit=True)

    def answers(self):
        try:
            with self.connect() as connection:
                return connection.execute("SELECT 1").fetchone()
        except psycopg.OperationalError:
            return False

    def execute(self, sql, database="postgres"):
        with self.connect(database) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def create_database(self, name):
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0")

    def drop_database(self, name):
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def stop(self, number=signal.SIGINT):
        """SIGINT is the fast shutdown, SIGQUIT the immediate one."""
        if self.process and self.process.is_running():
            self.process.stop(number)
