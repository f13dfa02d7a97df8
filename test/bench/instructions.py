#!/usr/bin/python3
"""Instructions an event of decode, ingest and sink, counted by callgrind, against figures kept in the tree.

    instructions.py BUILD_FOLDER [--update]

A rise over 5 % fails, and names the functions that most are in. A commit that explains one brings its figures along:
`./dev instructions --update`. They hold for one Debian, whose compiler and libraries made them, on x86-64; elsewhere
nothing is counted. What one processor can do and another cannot is hidden from the C library, so that it takes the same way on
each machine; the hashes of blocks, which OpenSSL makes in many ways, are left out.
"""
import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT, KEPT = HERE.parents[1], HERE / "instructions.json"
STAGES = ("decode", "ingest", "sink")
EVENTS = 3000
RISE = 1.05
TOP = 12
SAME_WAY = {
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-AVX,-AVX_Fast_Unaligned_Load,-AVX512F,-AVX512VL,-AVX512BW,-BMI1,-BMI2,-LZCNT,-MOVBE,-ERMS,-FSRM,-RTM",
}


def system():
    """`debian-12-x86_64`, the key of the figures."""
    words = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    return f"{words['ID']}-{words.get('VERSION_ID', '')}-{platform.machine()}".replace('"', "")


def environment():
    return {**{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}, "LC_ALL": "C", **SAME_WAY}


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment())
    assert done.returncode == 0, f"{command}: {done.stderr[-2000:]}"
    return done


def make_frames(build, folder):
    path = folder / "frames.bin"
    run(build / "test/fake/relay/standpipe-relay", "--generate", EVENTS, "--repos", 300, "--write", path)
    return path


def count(build, stage, frames, profile):
    """Instructions an event; the profile stays for whoever wants to look."""
    done = run(
        "valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}", "--collect-atstart=no", "--toggle-collect=measure",
        build / "test/bench/standpipe-walk", stage, frames, EVENTS, ROOT / "conf" / "tables.conf",
    )
    return round(int(re.search(r"Collected : (\d+)", done.stderr).group(1)) / EVENTS)


def top(profile):
    text = run("callgrind_annotate", "--show-percs=yes", profile).stdout
    lines = [line for line in text.splitlines() if re.match(r"\s*[\d,]+ \(", line) and "PROGRAM TOTALS" not in line]
    return "\n".join(lines[:TOP])


def judge(stage, now, kept, profile):
    change = 100 * (now / kept - 1)
    print(f"{stage:8} {now:8} instructions an event, {change:+.1f} % to the kept {kept}")
    if now <= kept * RISE:
        return True
    print(f"{stage}: more than 5 % over the kept figure: make it less, or say why in the commit that brings the new figure\n{top(profile)}")
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path)
    parser.add_argument("--update", action="store_true", help="keep what is counted now")
    arguments = parser.parse_args()
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    figures = kept.get(system())
    if figures is None and not arguments.update:
        print(f"instructions: no figures for {system()}, nothing is counted; there are some for: {', '.join(kept)}")
        return 0
    profiles = arguments.build / "instructions"
    profiles.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="standpipe-instructions-") as folder:
        frames = make_frames(arguments.build, Path(folder))
        found = {stage: count(arguments.build, stage, frames, profiles / f"{stage}.callgrind") for stage in STAGES}
    if arguments.update:
        KEPT.write_text(json.dumps({**kept, system(): found}, indent=2, sort_keys=True) + "\n")
        print(f"instructions: kept for {system()}: {found}")
        return 0
    verdicts = [judge(stage, found[stage], figures[stage], profiles / f"{stage}.callgrind") for stage in STAGES]
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
