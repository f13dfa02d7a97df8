"""The Debian package: built, installed, started as its unit does, upgraded and purged, on Debian 12 and 13."""
import json
import re
import shlex
import signal
import socket
from pathlib import Path

import pytest

from harness.daemon import Setup
from harness.process import Process, free_port
from harness.redis_server import RedisServer
from harness.waiting import wait_until
from machine import ENVIRONMENT, check

UNIT = "lib/systemd/system/standpipe.service"
CONFIGURATION = "etc/standpipe/standpipe.conf"
LATER = "99.0.0"
# What DynamicUser= would choose.
SOMEBODY = "61184:61184"
FILES = ["usr/bin/standpipe", CONFIGURATION, UNIT, "usr/share/standpipe/postgresql-roles.sql"]
FILES += [f"usr/share/standpipe/{name}.conf" for name in ("tables", "redis", "redis-acl", "postgresql")]
FILES += ["usr/share/standpipe/prometheus/standpipe.rules.yml", "usr/share/standpipe/grafana/standpipe.json"]
FILES += ["usr/share/man/man1/standpipe.1", "usr/share/man/man5/standpipe.conf.5", "usr/share/doc/standpipe/copyright"]


@pytest.fixture(scope="module", params=["13", "12"])
def release(request):
    return request.param


@pytest.fixture(scope="module")
def debs(release, builders):
    """Two packages: the version of the checkout, and the same as a later one."""
    machine = builders(release)
    options = ["-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_INSTALL_PREFIX=/usr", "-DSTANDPIPE_TESTS=OFF"]
    machine.run("cmake", "-G", "Ninja", "-S", "/src", "-B", "/build", *options)
    machine.run("ninja", "-C", "/build")
    machine.run("cpack", "-G", "DEB", cwd="/build")
    machine.run("cpack", "-G", "DEB", "-D", f"CPACK_PACKAGE_VERSION={LATER}", cwd="/build")
    found = sorted((machine.root / "build").glob("*.deb"), key=lambda path: LATER in path.name)
    assert len(found) == 2, found
    return found


@pytest.fixture(scope="module")
def machine(release, machines, debs):
    """A bare Debian with the package on it."""
    machine = machines(release, "install")
    for deb in debs:
        check(["cp", deb, machine.root])
    machine.install(f"/{debs[0].name}")
    return machine


def version(machine):
    return machine.run("dpkg-query", "-W", "-f=${Version} ${db:Status-Abbrev}", "standpipe").strip()


def test_the_package_depends_on_what_the_binary_loads_and_names_its_release(debs, release, machine, state):
    fields = dict(line.split(": ", 1) for line in machine.run("dpkg-deb", "-f", f"/{debs[0].name}").splitlines() if re.match(r"\S+: ", line))
    assert fields["Version"].endswith(f"-1~deb{release}") and fields["Section"] == "net"
    for library in ("libc6", "libuv1", "libpq5", "libhiredis", "libssl3", "libcbor", "libwslay1", "libinih1", "ca-certificates"):
        assert library in fields["Depends"], fields["Depends"]
    state(f"package of Debian {release}", f"{debs[0].name}, {debs[0].stat().st_size / 1e3:.0f} kB; {fields['Depends']}")


def test_the_package_installs_what_it_says_and_dpkg_agrees(machine, release):
    assert version(machine).endswith("ii")
    for path in FILES:
        assert check(["stat", "-c", "%U:%G %a", machine.root / path]).strip() == ("root:root 755" if "/bin/" in path else "root:root 644"), path
    assert machine.run("dpkg", "-V", "standpipe") == ""
    versions = json.loads(machine.run("standpipe", "version", "--json"))
    assert {"libuv", "hiredis", "inih", "wslay", "libcbor", "libpq", "openssl", "llhttp"} <= versions.keys()
    assert ("hiredis_ssl" in versions) == (release == "13")
    assert "key" in machine.run("standpipe", "help", "configuration")


def test_the_binary_is_hardened(machine, release, state):
    found = check([Path(__file__).resolve().parents[1] / "hardening" / "check", machine.root / "usr/bin/standpipe"])
    state(f"binary of Debian {release}", f"{found.count('yes')} properties hold")


def exec_start(machine):
    return shlex.split(re.search(r"^ExecStart=(.*)$", (machine.root / UNIT).read_text(), re.M)[1])


@pytest.fixture
def services(folder, database, standpipe, start_relay, generated, machine):
    redis = RedisServer(database.cluster.folder / f"redis-{folder.name}", ["--unixsocketperm", "777"]).start()
    setup = Setup(standpipe, folder, redis, database, start_relay(generated.frames, "--rate", 1000))
    machine.mount_one("--bind", database.cluster.folder, machine.root / "mnt")
    yield setup
    setup.stop()
    redis.stop()
    check(["umount", machine.mounted.pop()])


def configure(machine, setup, address):
    conninfo = setup.database.conninfo.replace(f"host={setup.database.cluster.folder}", "host=/mnt")
    (machine.root / CONFIGURATION).write_text(
        f"[relay]\nurl = {setup.relay.url}\ncursor = oldest\n[redis]\nurl = unix:///mnt/{setup.redis.folder.name}/redis.sock\n"
        f"[postgres]\nurl = {conninfo}\n[http]\nlisten = {address}\n[workers]\nthreads = 2\n"
    )


def test_the_unit_starts_it_and_it_says_ready_works_and_drains(machine, services, generated):
    configure(machine, services, f"127.0.0.1:{free_port()}")
    machine.run("standpipe", "check-config")
    path = machine.root / "run/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(path))
        path.chmod(0o777)
        notify.setblocking(False)
        said = []

        def hears(word):
            try:
                while True:
                    said.extend(notify.recv(65536).decode().splitlines())
            except BlockingIOError:
                return word in said

        line = machine.command(*exec_start(machine), user=SOMEBODY, NOTIFY_SOCKET="/run/notify")
        running = Process("unit", line, services.folder / "unit.log", ENVIRONMENT)
        try:
            wait_until(lambda: hears("READY=1"), lambda: f"READY=1: {said}", 60, [running])
            services.wait_drained(generated.last_sequence)
        finally:
            code = running.stop(signal.SIGTERM, 60)
        assert hears("STOPPING=1") and code == 0, running.text()
    path.unlink()
    assert not generated.differences(services.database)


def test_an_upgrade_keeps_the_configuration_and_a_purge_leaves_nothing(machine, debs):
    own = (machine.root / CONFIGURATION).read_text() + "# mine\n"
    (machine.root / CONFIGURATION).write_text(own)
    machine.run("apt-get", "-qq", "install", "-y", f"/{debs[1].name}")
    assert version(machine).startswith(LATER) and (machine.root / CONFIGURATION).read_text() == own
    machine.run("apt-get", "-qq", "remove", "-y", "standpipe")
    assert (machine.root / CONFIGURATION).read_text() == own and not (machine.root / UNIT).exists()
    machine.run("apt-get", "-qq", "purge", "-y", "standpipe")
    ours = ["-name", "*standpipe*", "-not", "-name", "*.deb", "-not", "-path", "./var/log/*"]
    left = check(["find", ".", "-xdev", *ours], cwd=machine.root)
    assert left == "", left
