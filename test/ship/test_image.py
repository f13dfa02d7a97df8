"""The image: built by its Dockerfile, looked into, and run as Kubernetes would run it."""
import json
import signal
import subprocess
import urllib.request

import pytest

from harness.daemon import Setup
from harness.process import Process, free_port
from harness.redis_server import RedisServer
from harness.waiting import wait_until
from machine import check

BASE = "docker.io/library/debian:trixie-slim"
# What Debian's slim image leaves out, or has not yet.
LEFT_OUT = [f"usr/share/{name}" for name in ("doc", "man", "locale", "info")]
LEFT_OUT += ["var/cache/apt/archives", "var/lib/apt/lists"]
NAME = "localhost/standpipe:ship"
MEGABYTE = 1_000_000
OVER_THE_BASE = 40 * MEGABYTE
NOBODY = "65532:65532"


def size_of(folder):
    return int(check(["du", "-s", "--block-size=1", folder]).split()[0])


@pytest.fixture(scope="module")
def base(buildah, bases):
    """debian:trixie-slim without its documentation, as Debian makes it."""
    root = bases("13").root
    container = buildah("from", "scratch")
    buildah("add", "-q", container, root, "/")
    folder = buildah("mount", container)
    for path in LEFT_OUT:
        check(["find", f"{folder}/{path}", "-mindepth", "1", "-delete"])
    size = size_of(folder)
    # The official image leaves documentation out of what is installed later too.
    with open(f"{folder}/etc/dpkg/dpkg.cfg.d/docker", "w", encoding="ascii") as file:
        file.writelines(f"path-exclude /usr/share/{name}/*\n" for name in ("doc", "man", "locale", "info"))
    buildah("umount", container)
    buildah("commit", "-q", "--rm", container, BASE)
    return size


@pytest.fixture(scope="module")
def image(buildah, base, source, commit):
    """The image's root as a folder, and its configuration."""
    arguments = ["--build-arg", f"REVISION={commit}", "--build-arg", "VERSION=ship"]
    how = ["--isolation", "chroot", "--pull-never", "--network", "host", "--format", "docker"]
    buildah("bud", "-q", *how, *arguments, "-t", NAME, source)
    container = buildah("from", "--pull-never", NAME)
    described = json.loads(buildah("inspect", "--type", "image", NAME))
    return buildah("mount", container), described["Docker"]["config"]


def test_the_image_adds_less_than_40_MB_to_its_base(image, base, state):
    size = size_of(image[0])
    state("image", f"{(size - base) / MEGABYTE:.1f} MB over a base of {base / MEGABYTE:.1f} MB")
    assert 0 < size - base < OVER_THE_BASE


def test_the_image_says_how_it_is_to_be_run(image, commit):
    config = image[1]
    assert config["User"] == NOBODY and config["StopSignal"] == "SIGTERM"
    assert config["Entrypoint"] == ["/usr/bin/standpipe"] and config["Cmd"] == ["run"]
    assert config["Healthcheck"]["Test"] == ["CMD", "/usr/bin/standpipe", "status", "--check", "--live"]
    assert config["Labels"]["org.opencontainers.image.revision"] == commit
    assert config["Labels"]["org.opencontainers.image.licenses"] == "ISC"
    assert "5000/tcp" in config["ExposedPorts"]


def test_the_image_ships_what_runs_and_no_tool_that_built_it(image):
    root = image[0]
    for path in ("usr/bin/standpipe", "etc/standpipe/standpipe.conf", "etc/ssl/certs/ca-certificates.crt"):
        assert check(["stat", "-c", "%U %s", f"{root}/{path}"]).startswith("root "), path
    for path in ("usr/bin/gcc", "usr/bin/cmake", "usr/include/uv.h", "src", "packages", "tmp/packages", "usr/bin/standpipe-relay"):
        assert subprocess.run(["test", "!", "-e", f"{root}/{path}"]).returncode == 0, path
    assert check(["find", root, "-xdev", "-user", "65532"]) == ""


class Contained:
    """`words` inside the image: its root read only, one folder bound to /mnt, a number for a user, no capability."""

    def __init__(self, root, folder):
        self.root, self.folder = root, folder

    def command(self, *words):
        script = (
            'set -e; root=$1; folder=$2; shift 2; mount --bind "$root" "$root"; mount --bind "$folder" "$root/mnt"; '
            'mount -t proc proc "$root/proc"; mount -o remount,ro,bind "$root"; mount -o remount,ro,bind "$root/mnt"; '
            'exec chroot --userspec=65532:65532 --groups= "$root" "$@"'
        )
        return ["unshare", "--mount", "sh", "-c", script, "sh", self.root, self.folder, *words]


@pytest.fixture
def services(folder, database, standpipe, certificate, start_relay, generated):
    """Redis with TLS, PostgreSQL and the relay, as seen from inside the image."""
    port = free_port()
    tls = ["--tls-port", str(port), "--tls-cert-file", certificate.certificate, "--tls-key-file", certificate.key]
    redis = RedisServer(folder / "redis", [*map(str, tls), "--tls-auth-clients", "no"]).start()
    setup = Setup(standpipe, folder, redis, database, start_relay(generated.frames, "--rate", 500))
    conninfo = database.conninfo
    settings = {
        "STANDPIPE_RELAY_URL": setup.relay.url,
        "STANDPIPE_RELAY_CURSOR": "oldest",
        "STANDPIPE_REDIS_URL": f"rediss://127.0.0.1:{port}/0",
        "STANDPIPE_POSTGRES_URL": conninfo.replace(f"host={database.cluster.folder}", "host=/mnt"),
        "STANDPIPE_WORKERS_THREADS": "2",
        "SSL_CERT_FILE": "/mnt/relay.crt",
    }
    check(["cp", certificate.certificate, database.cluster.folder])
    yield setup, settings
    setup.stop()
    redis.stop()


def test_the_image_ingests_on_a_read_only_root_without_a_shell_or_a_right(image, services, generated, state):
    setup, settings = services
    contained = Contained(image[0], setup.database.cluster.folder)
    address = f"127.0.0.1:{free_port()}"
    settings = {**settings, "STANDPIPE_HTTP_LISTEN": address}
    words = [*image[1]["Entrypoint"], *image[1]["Cmd"]]
    running = Process("image", contained.command(*words), setup.folder / "image.log", settings)

    def is_ready():
        try:
            with urllib.request.urlopen(f"http://{address}/readyz", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    try:
        wait_until(is_ready, "/readyz is 200", 60, [running])
        check(contained.command(*image[1]["Healthcheck"]["Test"][1:]), env=settings)
        setup.wait_drained(generated.last_sequence)
    finally:
        code = running.stop(signal.SIGTERM, 60)
    assert code == 0, running.text()
    assert not generated.differences(setup.database)
    versions = check(contained.command(words[0], "version", "--json"))
    assert json.loads(versions)["hiredis_ssl"]
    state("image's libraries", versions.strip())

