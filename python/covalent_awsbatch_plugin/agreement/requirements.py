"""What dispatcher and container call the packages that a task asks for, so that both know whether they are there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence


def fingerprint(packages: Sequence[str], requirements: str) -> str:
    """A name for what a `DepsPip` asks for.

    Args:
        packages: Its requirements.
        requirements: The content of its requirements file; empty if it has none.
    """
    return hashlib.sha256(json.dumps([list(packages), requirements]).encode()).hexdigest()[:32]
