"""Runs Terraform or OpenTofu in one directory, with the user's own environment."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

PROGRAMS = ("terraform", "tofu")
"""What is looked for on the PATH, in this order."""

# Seconds after which a request was surely answered, and what is still under way is AWS's own work: a queue takes thirty
# to be made, a bucket's rule sixty to be seen everywhere.
_ANSWERED = 5.0

# Seconds for which an interruption waits at most.
_PATIENCE = 60.0


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

        An interruption is passed on when AWS has answered all that is under way: Terraform gives up the requests that
        it waits for, and what those have made by then it never knows. A second one is passed on at once.

        Args:
            tell: Is called with each of its messages as it comes, and with one of the type `interruption`.
            *arguments: The command.

        Raises:
            TerraformError: It failed or was interrupted; with its diagnoses, once it has written its state.
        """
        command = [self.program, arguments[0], "-json", *arguments[1:]]
        errors = []
        under_way = _UnderWay()
        interruptions = 0
        with (
            _ends_as_interruptions(),
            subprocess.Popen(
                command,
                cwd=self.directory,
                env=_environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                start_new_session=True,  # a terminal's Ctrl-C reaches it through us alone
            ) as process,
        ):
            assert process.stdout is not None
            while True:
                try:
                    for line in process.stdout:
                        event = _event(line)
                        under_way.see(event)
                        if event.get("type") == "diagnostic" and event["diagnostic"]["severity"] == "error":
                            errors.append(_diagnosis(event["diagnostic"]))
                        tell(event)
                    break
                except KeyboardInterrupt:
                    # Terraform writes its state when it has let go of what it began: leaving earlier loses it.
                    interruptions += 1
                    if interruptions == 1:
                        text = "Stopping as soon as AWS has answered what is under way; Ctrl-C again: at once."
                        tell({"type": "interruption", "@message": text})
                        threading.Thread(target=_stop, args=(process, under_way), daemon=True).start()
                    elif interruptions == 2:
                        under_way.stopped.set()
        if interruptions:
            # That it was interrupted is what Terraform says of each thing by itself.
            others = [error for error in errors if "cancel" not in error and "halted" not in error]
            raise TerraformError("\n".join(["Interrupted.", *others]))
        if process.returncode:
            raise TerraformError("\n".join(errors) or f"`{self.name} {arguments[0]}` failed")


class _UnderWay:
    """Since when Terraform is making or deleting what, as it tells.

    Attributes:
        stopped: Set when nobody wants to wait for it any longer.
    """

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._since: dict[str, float] = {}

    def see(self, event: Mapping[str, Any]) -> None:
        address = event.get("hook", {}).get("resource", {}).get("addr", "")
        if event["type"] == "apply_start":
            self._since[address] = time.monotonic()
        elif event["type"] in ("apply_complete", "apply_errored"):
            self._since.pop(address, None)

    def youngest(self) -> float:
        """How long ago the last of them was begun, in seconds; infinite if there is none."""
        return time.monotonic() - max(list(self._since.values()), default=-math.inf)


def _stop(process: subprocess.Popen[str], under_way: _UnderWay) -> None:
    end = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < end and under_way.youngest() < _ANSWERED:
        if under_way.stopped.wait(0.1):
            break
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)


@contextmanager
def _ends_as_interruptions() -> Iterator[None]:
    """A closed terminal and a scheduler's SIGTERM are Ctrl-C, too: else Terraform would die at its next message."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {end: signal.signal(end, signal.default_int_handler) for end in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for end, handler in before.items():
            signal.signal(end, handler)


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
