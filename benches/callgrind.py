"""Counts the instructions of the core's hot paths and compares them with those on record.

No clock is asked, so the same program gives the same numbers on a busy machine. `--record` puts the numbers of now in
the place of those on record; do so with a change that is meant to cost more, or after a change of the compiler.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAM = ROOT / "target" / "release" / "hot"
RECORD = Path(__file__).with_name("instructions.json")
TOLERANCE = 0.02
"""What hash maps with random seeds and the like may make of a difference."""

# How often each runs. What starting up takes is the difference to a run of one time.
PATHS = {"settings": 1001, "classify": 1001, "decode": 1001, "sweep": 3}


def instructions(path: str, times: int) -> int:
    """Instructions of a run of `hot`."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", PROGRAM, path, str(times)]
    said = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=True).stderr
    found = re.search(r"Collected : (\d+)", said)
    if not found:
        raise RuntimeError(f"callgrind said nothing of instructions:\n{said}")
    return int(found[1])


def main() -> int:
    """Returns the exit status: 1 if a path takes more than it did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true", help="keep the numbers of now")
    asked = parser.parse_args()
    if not shutil.which("valgrind"):
        print("instructions: not counted, since valgrind is not installed")
        return 0
    compiler = subprocess.run(["rustc", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    counts = {
        path: round((instructions(path, times) - instructions(path, 1)) / (times - 1)) for path, times in PATHS.items()
    }
    if asked.record or not RECORD.exists():
        RECORD.write_text(json.dumps({"compiler": compiler, "instructions": counts}, indent=2) + "\n", encoding="utf-8")
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    comparable = record["compiler"] == compiler
    if not comparable:
        print(f"instructions: those on record are of {record['compiler']} and tell nothing about {compiler}")
    grown = []
    for path, count in counts.items():
        before = record["instructions"].get(path, 0)
        change = count / before - 1 if before else 0.0
        print(f"instructions of {path}: {count:,} ({change:+.1%})")
        if comparable and change > TOLERANCE:
            grown.append(f"{path} takes {count:,} instructions and not {before:,}")
    for line in grown:
        print(line, file=sys.stderr)
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
