"""docs/operations.md word for word on a Debian that has nothing: install, back up, restore, upgrade.

Two things stand in: the test relay for the real one, and a script for systemctl, which a chroot has not.
"""
import re
import socket
import subprocess
from pathlib import Path

import pytest

from harness.waiting import wait_until
from machine import check

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operations.md"
RELAY = "|url = wss://bsky.network|"
PORTS = (5000, 5432, 6379)
SHELL = ("bash", "-euo", "pipefail", "-c")
# What systemd does for three services: it reads the drop-in, hands the credential over, waits until it is ready.
SYSTEMCTL = r"""#!/bin/bash
set -euo pipefail
stop() { [ ! -e /run/standpipe.pid ] || { kill -TERM "$(cat /run/standpipe.pid)" && tail --pid="$(cat /run/standpipe.pid)" -f /dev/null; rm /run/standpipe.pid; }; }
start() {
    local folder=/etc/systemd/system/standpipe.service.d credentials=/run/credentials setting
    mkdir -p $credentials
    while IFS=: read -r name file; do install -m 444 "$file" "$credentials/$name"; done < <(sed -n 's/^LoadCredential=//p' $folder/*.conf)
    mapfile -t setting < <(sed -n "s|^Environment=||; s|%d|$credentials|p" $folder/*.conf)
    env -u STANDPIPE_POSTGRES_URL_FILE "${setting[@]}" setsid setpriv --reuid=61184 --regid=61184 --clear-groups \
        $(sed -n 's/^ExecStart=//p' /lib/systemd/system/standpipe.service) >>/var/log/standpipe.log 2>&1 </dev/null &
    echo $! >/run/standpipe.pid
    timeout 60 sh -c 'until standpipe status --check; do kill -0 "$(cat /run/standpipe.pid)" && sleep 0.2; done' || { tail /var/log/standpipe.log >&2; exit 1; }
}
case $* in
daemon-reload) ;;
"restart redis-server") redis-server /etc/redis/redis.conf --daemonize yes --pidfile /run/redis.pid --logfile /var/log/redis.log </dev/null
    timeout 30 sh -c 'until redis-cli ping; do sleep 0.1; done' ;;
"restart postgresql") pg_ctlcluster "$(ls /etc/postgresql)" main restart </dev/null ;;
"enable --now standpipe" | "start standpipe") start ;;
"stop standpipe") stop ;;
"restart standpipe") stop && start ;;
*) echo "systemctl $*: not of this page" >&2 && exit 1 ;;
esac
"""


def blocks(section):
    """The shell of one section."""
    text = re.search(rf"^## {section}$(.*?)(?=^## )", PAGE.read_text(), re.M | re.S)[1]
    return "\n".join(re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S))


@pytest.fixture(scope="module")
def machine(machines, source):
    for port in PORTS:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0, f"port {port} is in use here: the page needs it"
    machine = machines("13", "operations")
    check(["cp", "-a", source, machine.root / "src"])
    path = machine.root / "usr/local/bin/systemctl"
    path.write_text(SYSTEMCTL)
    path.chmod(0o755)
    return machine


def follow(machine, script):
    path = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    secret = "export STANDPIPE_POSTGRES_URL_FILE=/etc/standpipe/postgres-url\n"
    known = secret if (machine.root / "etc/standpipe/postgres-url").exists() else ""
    log = machine.root / "follow.log"
    with log.open("w") as file:  # a daemon that stays would hold a pipe open
        line = machine.command(*SHELL, f"cd /src\n{known}{script}", PATH=path)
        done = subprocess.run(line, stdout=file, stderr=file, stdin=subprocess.DEVNULL, timeout=1500)
    assert done.returncode == 0, log.read_text(errors="replace")[-6000:]
    return log.read_text(errors="replace")


def records(machine):
    return int(machine.run("su", "postgres", "-c", "psql -XAtqc 'SELECT count(*) FROM records' standpipe"))


def wait_records(machine, count):
    wait_until(lambda: records(machine) == count, lambda: f"{count} records ({records(machine)})", 60)


def test_a_person_who_follows_the_page_has_a_running_standpipe(machine, start_relay, generated, state):
    relay, live = start_relay(generated.frames), len(generated.truth().live())
    install = blocks("Install")
    assert RELAY in install
    said = follow(machine, install.replace(RELAY, f"|url = {relay.url}|"))
    assert "noeviction" in said and "goes on after" in said
    wait_records(machine, live)
    follow(machine, blocks("Backup"))
    wait_records(machine, live)
    assert "standpipe 0." in follow(machine, blocks("Upgrade"))
    wait_records(machine, live)
    state("operations.md", f"followed on Debian 13: {live} records, backed up and restored")
