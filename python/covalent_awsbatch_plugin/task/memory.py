"""The memory limit of a single result."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def largest_result() -> int:
    """Bytes of the largest result that is read: half of the memory of the machine, or of the container that this is."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        container = int(_CGROUP_LIMIT.read_text(encoding="ascii"))
    except (OSError, ValueError):  # no cgroup, or "max"
        container = machine
    return min(machine, container) // 2
