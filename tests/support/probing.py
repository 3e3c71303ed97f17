"""The other side of `probe.py`."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any


class Probe:
    """Has the core ask AWS who is calling, in a process whose environment is what is given, PATH, and a home.

    Args:
        process: `support/probe.py`, which waits for cases.
        home: The home where none is given.
    """

    def __init__(self, process: subprocess.Popen[str], home: Path) -> None:
        self._process = process
        # Without the last, a case that finds no credentials would ask the network for those of an instance.
        self._defaults = {"PATH": os.environ["PATH"], "HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true"}

    def __call__(self, environment: dict[str, str], **settings: str) -> dict[str, Any]:
        """What came of it for one client with these settings."""
        [outcome] = self.together(environment, settings)
        return outcome

    def together(self, environment: dict[str, str], *clients: dict[str, Any]) -> list[dict[str, Any]]:
        """What came of it for several clients that ask at the same time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        case = {
            "environment": {**self._defaults, **environment},
            "clients": [{"region": "eu-west-3", **client} for client in clients],
        }
        print(json.dumps(case), file=self._process.stdin, flush=True)
        outcomes: list[dict[str, Any]] = json.loads(self._process.stdout.readline())
        return outcomes
