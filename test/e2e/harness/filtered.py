#!/usr/bin/python3
"""Runs a program under the system-call filter of a systemd unit, without systemd: filtered.py UNIT PROGRAM [ARGUMENT...]

    SystemCallFilter= --systemd-analyze--> names --libseccomp--> a filter, then execve

What the filter does not let through ends the process with SIGSYS, so that it shows; under systemd it is refused with EPERM.
"""
import ctypes
import os
import re
import subprocess
import sys

KILL_PROCESS, ALLOW = 0x80000000, 0x7FFF0000  # SCMP_ACT_*


def names_of(group):
    """All system calls of a group like @system-service; groups name others."""
    listed = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True).stdout
    names = {line.strip() for line in listed.splitlines()[1:] if line.strip() and not line.strip().startswith("#")}
    return set().union(*(names_of(name) if name.startswith("@") else {name} for name in names))


def allowed(unit):
    found = names_of("@default")  # systemd adds it to every list of what is allowed
    for line in re.findall(r"^SystemCallFilter=(.*)$", unit, re.MULTILINE):
        names = set().union(*(names_of(word) if word.startswith("@") else {word} for word in line.lstrip("~").split()))
        found = found - names if line.startswith("~") else found | names
    return found


def load(names):
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(KILL_PROCESS)))
    for name in sorted(names):
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # below: none of this machine's
            library.seccomp_rule_add(context, ctypes.c_uint32(ALLOW), number, 0)
    if library.seccomp_load(context) != 0:
        sys.exit("filtered: the kernel takes no filter")


def main():
    with open(sys.argv[1], encoding="utf-8") as unit:
        names = allowed(unit.read())
    load(names)
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
