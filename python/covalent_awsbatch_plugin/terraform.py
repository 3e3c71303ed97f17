"""Runs Terraform or OpenTofu in one directory, with the user's own environment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROGRAMS = ("terraform", "tofu")
"""What is looked for on the PATH, in this order."""


class TerraformError(Exception):
    """It could not be found, or it did not do what it was asked for."""


class Terraform:
    """One directory of configuration and state.

    Args:
        directory: Where the `.tf` files are.

    Attributes:
        version: Such as (1, 11).

    Raises:
        TerraformError: None is on the PATH, or it is too old.
    """

    def __init__(self, directory: Path) -> None:
        found = next(filter(None, map(shutil.which, PROGRAMS)), None)
        if found is None:
            raise TerraformError(
                "Neither terraform nor tofu is on the PATH. Install 1.4 or newer of either: "
                "https://developer.hashicorp.com/terraform or https://opentofu.org"
            )
        self.program = found
        self.name = Path(found).name
        self.directory = directory
        told = str(json.loads(self.answer("version", "-json"))["terraform_version"])
        self.version = tuple(int(part) for part in told.partition("-")[0].split(".")[:2])
        if self.version < (1, 4):
            raise TerraformError(f"{found} is version {told}, and 1.4 or newer is needed.")

    def answer(self, *arguments: str) -> str:
        """Runs a command and returns what it writes to its standard output.

        Raises:
            TerraformError: With its own words.
        """
        done = subprocess.run(
            [self.program, *arguments],
            cwd=self.directory,
            env=_environment(),
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        if done.returncode:
            raise TerraformError(f"`{self.name} {arguments[0]}` failed:\n{(done.stderr or done.stdout).strip()}")
        return done.stdout

    def follow(self, tell: Callable[[dict[str, Any]], None], *arguments: str) -> None:
        """Runs a command with `-json`.

        Args:
            tell: Is called with each of its messages as it comes.
            *arguments: The command.

        Raises:
            TerraformError: It failed or was interrupted; with its diagnoses, once it has written its state.
        """
        command = [self.program, arguments[0], "-json", *arguments[1:]]
        errors = []
        with subprocess.Popen(
            command,
            cwd=self.directory,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        ) as process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    event = _event(line)
                    if event.get("type") == "diagnostic" and event["diagnostic"]["severity"] == "error":
                        errors.append(_diagnosis(event["diagnostic"]))
                    tell(event)
            except KeyboardInterrupt:
                # It was told, too, and writes its state when it has let go of what it began: leaving earlier loses it.
                process.stdout.read()
                raise TerraformError("Interrupted.") from None
        if process.returncode:
            raise TerraformError("\n".join(errors) or f"`{self.name} {arguments[0]}` failed")


def _environment() -> dict[str, str]:
    arguments = f"{os.environ.get('TF_CLI_ARGS', '')} -no-color".strip()
    return {**os.environ, "TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "TF_CLI_ARGS": arguments}


def _event(line: str) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except json.JSONDecodeError:  # a warning about the user's own configuration of Terraform
        event = None
    return event if isinstance(event, dict) else {"type": "text", "@message": line.rstrip()}


def _diagnosis(diagnostic: dict[str, Any]) -> str:
    address = f"{diagnostic['address']}: " if diagnostic.get("address") else ""
    detail = " ".join(str(diagnostic.get("detail") or "").split())
    return f"{address}{diagnostic['summary']}" + (f" ({detail})" if detail else "")
