"""The files that a deployment keeps in its directory, beside those of this package and Terraform's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

VARIABLES = "terraform.tfvars.json"
"""The variables that were given, now or earlier."""

ASKED = "asked.json"
"""The variables of the plan that is shown."""

BACKEND = "backend.tf.json"
"""Where the state is, if it is elsewhere."""

PLAN = "plan.tfplan"
"""What is going to be done."""

EXECUTOR = "executor.json"
"""The executor's options as they were after the last `up`."""

UNFINISHED = "unfinished"
"""There while something is done, and after that if it was not finished."""


def load(path: Path) -> dict[str, Any]:
    """What stands in one of the files with JSON; nothing if there is no such file.

    Args:
        path: The file.
    """
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def save(path: Path, content: Mapping[str, Any]) -> None:
    """Writes one of the files with JSON.

    Args:
        path: The file.
        content: What shall stand there.
    """
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
