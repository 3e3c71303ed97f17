"""Other processes: programs that are run, and waiting for what they do."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

DEADLINE = 120.0
T = TypeVar("T")


def python(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end, which it must reach by itself and well."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        check=True,
        timeout=60,
        stdout=subprocess.PIPE,
        text=True,
    )


def poll(ask: Callable[[], T | None], what: str, seconds: float = DEADLINE) -> T:
    """Asks until the answer is true, and returns it."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return answer


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat")
        return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
