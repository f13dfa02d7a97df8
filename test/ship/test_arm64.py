"""arm64 by a cross build with Debian's packages; the program and all unit tests run under qemu."""
import json
import re
import subprocess

import pytest

from machine import check

TOOLS = ("cmake", "ninja-build", "pkg-config", "python3", "binutils", "crossbuild-essential-arm64", "qemu-user-static")
EMULATOR = "qemu-aarch64-static"
# A test of the test relay, in Python, which starts that relay without the emulator.
LEFT_OUT = "relay_selftest"
# The emulator makes up /proc/self/stat: nothing in it is of this process.
UNTRUE = {"http_pages_unit_test": {"the_process_knows_itself"}}


@pytest.fixture(scope="module")
def machine(machines, packages, source):
    """A Debian with the compiler for the other architecture, and its libraries."""
    machine = machines("13", "arm64")
    machine.run("dpkg", "--add-architecture", "arm64")
    libraries = [name for name in packages("13", "build") if name.endswith("-dev")]
    machine.install(*TOOLS, *(f"{name}:arm64" for name in [*libraries, "libcmocka-dev"]))
    check(["cp", "-a", source, machine.root / "src"])
    options = ["-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_INSTALL_PREFIX=/usr", "-DCMAKE_TOOLCHAIN_FILE=/src/deps/arm64.cmake"]
    machine.run("cmake", "-G", "Ninja", "-S", "/src", "-B", "/build", *options)
    machine.run("ninja", "-C", "/build")
    return machine


def test_the_unit_tests_pass_on_arm64(machine, state):
    header = machine.run("aarch64-linux-gnu-readelf", "-h", "/build/src/standpipe")
    assert "AArch64" in header
    others = "|".join([LEFT_OUT, *UNTRUE])
    said = machine.run("ctest", "--test-dir", "/build", "-L", "unit", "-E", f"^({others})$", "--output-on-failure", "--timeout", "900")
    found = re.search(r"100% tests passed, 0 tests failed out of (\d+)", said)
    assert found, said
    for name, untrue in UNTRUE.items():
        assert failures(machine, name) == untrue
    state("arm64", f"{int(found[1]) + len(UNTRUE)} programs of unit tests under qemu")


def failures(machine, name):
    """The tests of one program that fail, which has to run to its end."""
    (path,) = (machine.root / "build").rglob(name)
    line = machine.command(EMULATOR, f"/{path.relative_to(machine.root)}")
    said = subprocess.run(line, capture_output=True, text=True, timeout=300)
    text = said.stdout + said.stderr
    assert re.search(r"\[  PASSED  \] \d+ test", text), text
    return set(re.findall(r"^\[  FAILED  \] (\w+)$", text, re.M))


def test_the_program_runs_and_says_the_same(machine):
    versions = json.loads(machine.run(EMULATOR, "/build/src/standpipe", "version", "--json"))
    assert versions["hiredis_ssl"] and versions["libpq"]
    said = machine.run(EMULATOR, "/build/src/standpipe", "help", "configuration")
    assert said == (machine.root / "src/docs/configuration.md").read_text()
