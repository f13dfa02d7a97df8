"""Two builds of one commit give the same binary, wherever and whenever they are made."""
import hashlib
import os

from machine import check

CONFIGURE = ["-DCMAKE_BUILD_TYPE=Release", "-DSTANDPIPE_TESTS=OFF"]


def build(source, folder, settings):
    environment = {**os.environ, **settings}
    check(["git", "clone", "-q", source, folder])
    build_folder = folder / "build"
    check(["cmake", "-G", "Ninja", "-S", folder, "-B", build_folder, *CONFIGURE], env=environment)
    check(["ninja", "-C", build_folder], env=environment)
    return hashlib.sha256((build_folder / "src" / "standpipe").read_bytes()).hexdigest()


def test_two_builds_of_one_commit_are_the_same_bytes(workshop, source, state):
    one = build(source, workshop / "one", {"TZ": "UTC", "LC_ALL": "C", "CCACHE_DISABLE": "1"})
    two = build(source, workshop / "a" / "much" / "longer" / "path", {"TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8", "CCACHE_DISABLE": "1"})
    state("binary", f"sha256 {one}")
    assert one == two
