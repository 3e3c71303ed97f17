"""The yardstick for large payloads: as many bytes to and from the stand-in with the SDK alone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from lab import Lab
from lab.bulk import noise

from .environments import ROOT

PROGRAM = ROOT / "target" / "release" / "hot"
_KEY = "raw"


def raw_copy(kind: str, size: int) -> float:
    """Seconds that the SDK takes to put (`argument`) or get (`result`) so many bytes; 0 where it is not built."""
    if not PROGRAM.exists():
        print(f"  no raw copy: {PROGRAM.relative_to(ROOT)} is not built", flush=True)
        return 0.0
    with Lab(discard="" if kind == "result" else _KEY) as lab:
        if kind == "result":
            lab.plant(_KEY, noise(size))
        command: list[str | Path] = [PROGRAM, "copy", "get" if kind == "result" else "put", lab.url, _KEY, str(size)]
        keys = {"AWS_ACCESS_KEY_ID": "AKIARAW", "AWS_SECRET_ACCESS_KEY": "secret"}
        done = subprocess.run(
            command, env={**os.environ, **lab.environment, **keys}, stdout=subprocess.PIPE, text=True, check=True
        )
        seconds = float(done.stdout)
        print(f"  raw {kind} of {size:,} bytes: {seconds:.2f} s", flush=True)
        return seconds
