"""Identifies the process that owns something on disk, even after its process id was reused."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil  # a dependency of Covalent


@dataclass(frozen=True)
class Owner:
    """A process.

    Attributes:
        host: Host name, since several machines may share a home.
        pid: Process id.
        started: Opaque start time, only to be compared.
    """

    host: str
    pid: int
    started: str

    @classmethod
    def this_process(cls) -> Owner:
        """Returns the current process."""
        return cls(platform.node(), os.getpid(), _started(os.getpid()) or "")

    @classmethod
    def read(cls, path: Path) -> Owner | None:
        """Returns the process that a file names, None if it names none."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Writes it to a file that must not exist yet."""
        with path.open("x", encoding="utf-8") as file:
            json.dump(asdict(self), file)

    @property
    def is_gone(self) -> bool:
        """Whether it has certainly ended; always False for a process of another host.

        Raises:
            OSError: It cannot be determined now.
        """
        return self.host == platform.node() and self.started not in ("", _started(self.pid))


def _started(pid: int) -> str | None:
    """When a process started; None if this user has no such process, or only its zombie is left."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        if sys.platform == "linux":
            # Ticks since boot, because psutil computes the start time with the wall clock, which may be set.
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
            ticks = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            return f"{boot} {ticks[19]}"
        return repr(process.create_time())
    except (psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError, ProcessLookupError, PermissionError):
        return None
