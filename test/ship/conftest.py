"""Fixtures: Debians to build and install in, the checkout's last commit, and the services of test/e2e."""
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

from machine import Machine, check  # noqa: E402

RELEASES = {"12": "bookworm", "13": "trixie"}


def end_to_end():
    """conftest.py of test/e2e under a name of its own: its fixtures are ours too."""
    spec = importlib.util.spec_from_file_location("end_to_end", HERE.parent / "e2e" / "conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_shared = end_to_end()
pytest_runtest_makereport = _shared.pytest_runtest_makereport
standpipe, relay_program = _shared.standpipe, _shared.relay_program
session_folder, folder = _shared.session_folder, _shared.folder
empty_cluster, cluster, database = _shared.empty_cluster, _shared.cluster, _shared.database
certificate, start_relay, generated = _shared.certificate, _shared.start_relay, _shared.generated
redis, setup = _shared.redis, _shared.setup


@pytest.fixture(scope="session")
def workshop():
    """A folder for what is large."""
    if os.geteuid() != 0:
        pytest.exit("chroots need root: sudo ./dev ship", 2)
    path = Path(tempfile.mkdtemp(prefix="standpipe-ship-"))
    path.chmod(0o755)
    yield path
    if f" {path}/" not in Path("/proc/mounts").read_text():
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def bases(workshop):
    """bases("13") -> a minimal Debian that nobody changes."""
    made = {}

    def base(release):
        if release not in made:
            made[release] = Machine(workshop / f"base-{release}").bootstrap(RELEASES[release])
        return made[release]

    return base


@pytest.fixture(scope="session")
def machines(workshop, bases):
    """machines("13", "name") -> a copy to work in, gone at the end."""
    made = []

    def machine(release, name):
        copy = bases(release).copy_to(workshop / f"{name}-{release}")
        made.append(copy)
        return copy.mount()

    yield machine
    for copy in made:
        copy.remove()


@pytest.fixture(scope="session")
def commit():
    return check(["git", "-C", ROOT, "rev-parse", "HEAD"]).strip()


@pytest.fixture(scope="session")
def source(workshop, commit):
    """The last commit, as a clone: what is not committed is not shipped."""
    check(["git", "clone", "-q", "--no-hardlinks", ROOT, workshop / "source"])
    return workshop / "source"


@pytest.fixture(scope="session")
def packages():
    """packages("13", "build", "test") -> the names in deps/."""

    def names(release, *kinds):
        text = (ROOT / "deps" / f"debian-{release}.txt").read_text()
        return [name for kind in kinds for name in re.search(rf"^{kind}: (.*)$", text, re.M)[1].split()]

    return names


@pytest.fixture(scope="session")
def builders(machines, packages, source):
    """builders("13") -> a Debian with what a build takes and the source in /src."""
    made = {}

    def builder(release):
        if release not in made:
            machine = machines(release, "build")
            machine.install(*packages(release, "build"), "file", "dpkg-dev")
            check(["cp", "-a", source, machine.root / "src"])
            made[release] = machine
        return made[release]

    return builder


@pytest.fixture(scope="session")
def state():
    """state(name, text): a line for docs/releasing.md."""

    def line(name, text):
        print(f"\nship: {name}: {text}")

    return line


def program(name):
    found = shutil.which(name)
    return found or pytest.exit(f"{name} is missing: ./dev ship installs it", 2)


@pytest.fixture(scope="session")
def buildah(workshop):
    """buildah(words...) -> its output; storage of its own, no engine, no registry."""
    where = [program("buildah"), "--root", workshop / "images", "--runroot", workshop / "run"]
    where += ["--storage-driver", "vfs"]

    def run(*words):
        return check([*where, *words], env={**os.environ, "TMPDIR": str(workshop)}).strip()

    yield run
    subprocess.run([*map(str, where), "rm", "--all"], capture_output=True)
    subprocess.run([*map(str, where), "rmi", "--all", "--force"], capture_output=True)
