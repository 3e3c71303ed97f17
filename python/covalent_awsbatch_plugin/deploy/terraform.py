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

    def follow(self, on_event: Callable[[dict[str, Any]], None], *arguments: str) -> None:
        """Runs a command with `-json`.

        An interruption is passed on when AWS has answered all that is under way: Terraform gives up the requests that
        it waits for, and what those have made by then it never knows. A second one is passed on at once.

        Args:
            on_event: Is called with each of its messages as it comes; with one of the type `interruption` from another
                thread.
            *arguments: The command.

        Raises:
            TerraformError: It failed or was interrupted; with its diagnoses, once it has written its state.
        """
        command = [self.program, arguments[0], "-json", *arguments[1:]]
        errors = []
        broken: BaseException | None = None
        under_way = _UnderWay()
        with (
            under_way.interrupted_instead(),
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
            threading.Thread(target=_stop_in_time, args=(process, under_way, on_event), daemon=True).start()
            for line in process.stdout:
                event = _event(line)
                under_way.see(event)
                problem = event.get("diagnostic", {})
                # What it says of a resource once it was told to stop is that it was told to stop.
                expected = under_way.given_up and _is_of_a_resource(problem)
                if problem.get("severity") == "error" and not expected:
                    errors.append(_diagnosis(problem))
                if broken is None:
                    try:
                        on_event(event)
                    except BaseException as error:  # noqa: BLE001  (a closed pipe: without a reader Terraform would die)
                        broken = error
        if broken is not None:
            raise broken
        if under_way.interruptions:
            raise TerraformError("\n".join(["Interrupted.", *errors]))
        if process.returncode:
            raise TerraformError("\n".join(errors) or f"`{self.name} {arguments[0]}` failed")


class _UnderWay:
    """Since when Terraform is making or deleting what, as it tells, and whether somebody wants it to stop.

    Attributes:
        interruptions: How many there were.
        given_up: Whether Terraform was told to stop.
    """

    def __init__(self) -> None:
        self.interruptions = 0
        self.given_up = False
        self._since: dict[str, float] = {}

    @contextmanager
    def interrupted_instead(self) -> Iterator[None]:
        """Counts interruptions meanwhile: one that were raised would lose what Terraform has yet to say.

        A closed terminal and a scheduler's SIGTERM count, too, but insisting is for people. What is ignored, as under
        `nohup`, stays ignored.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def count(number: int, _frame: object) -> None:
            if number == signal.SIGINT or not self.interruptions:
                self.interruptions += 1

        ends = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
        heard = [end for end in ends if signal.getsignal(end) not in (signal.SIG_IGN, None)]
        before = {end: signal.signal(end, count) for end in heard}
        try:
            yield
        finally:
            for end, handler in before.items():
                signal.signal(end, handler)

    def see(self, event: Mapping[str, Any]) -> None:
        """Takes one of Terraform's messages."""
        address = event.get("hook", {}).get("resource", {}).get("addr", "")
        if event["type"] == "apply_start":
            self._since[address] = time.monotonic()
        elif event["type"] in ("apply_complete", "apply_errored"):
            self._since.pop(address, None)

    def youngest(self) -> float:
        """How long ago the last of them was begun, in seconds; infinite if there is none."""
        return time.monotonic() - max(list(self._since.values()), default=-math.inf)


def _stop_in_time(
    process: subprocess.Popen[str], under_way: _UnderWay, on_event: Callable[[dict[str, Any]], None]
) -> None:
    while not under_way.interruptions:
        if process.poll() is not None:
            return
        time.sleep(0.1)
    text = "Stopping as soon as AWS has answered what is under way; Ctrl-C again: at once."
    with suppress(Exception, SystemExit):  # as where nobody reads any more
        on_event({"type": "interruption", "@message": text})
    end = time.monotonic() + _PATIENCE
    while under_way.interruptions == 1 and under_way.youngest() < _ANSWERED and time.monotonic() < end:
        time.sleep(0.1)
    under_way.given_up = True
    passed_on = 0
    while process.poll() is None:
        if not passed_on or under_way.interruptions > passed_on + 1:  # to its second one, Terraform drops everything
            # It may just have ended, which is what macOS means by the latter.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGINT)
            passed_on += 1
        time.sleep(0.1)


def _environment() -> dict[str, str]:
    arguments = f"{os.environ.get('TF_CLI_ARGS', '')} -no-color".strip()
    return {**os.environ, "TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "TF_CLI_ARGS": arguments}


def _event(line: str) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except json.JSONDecodeError:  # a warning about the user's own configuration of Terraform
        event = None
    # Without a type are lines of TF_LOG=JSON.
    return {"type": "text", **event} if isinstance(event, dict) else {"type": "text", "@message": line.rstrip()}


def _is_of_a_resource(diagnostic: Mapping[str, Any]) -> bool:
    return bool(diagnostic.get("address")) or diagnostic.get("summary") == "execution halted"


def _diagnosis(diagnostic: dict[str, Any]) -> str:
    address = f"{diagnostic['address']}: " if diagnostic.get("address") else ""
    detail = " ".join(str(diagnostic.get("detail") or "").split())
    return f"{address}{diagnostic['summary']}" + (f" ({detail})" if detail else "")
