"""`covalent-awsbatch doctor`: runs the checks, prints each as soon as it is complete, and summarises them."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

from covalent_awsbatch_plugin.errors import AWSBatchError, SettingsError
from covalent_awsbatch_plugin.options.checks import checked
from covalent_awsbatch_plugin.options.configuration import resolved
from covalent_awsbatch_plugin.options.settings import Settings
from covalent_awsbatch_plugin.printable import printable
from covalent_awsbatch_plugin.task.connection import client

from . import checks
from .checks.base import Case, Check, State, failed, from_error, unknown

_SIGNS = {State.PASSED: ("✓", "green"), State.FAILED: ("✗", "red"), State.UNKNOWN: ("\N{EN DASH}", "yellow")}
_CODES = {State.PASSED: 0, State.FAILED: 1, State.UNKNOWN: 2}
_SUMMARIES = {
    State.PASSED: "All is well.",
    State.FAILED: "Something is wrong.",
    State.UNKNOWN: "Nothing wrong was found, but not everything could be told.",
}


@dataclass(frozen=True)
class Flags:
    """What the command was asked for.

    Attributes:
        run: Run a job.
        as_json: Write JSON in place of lines.
        verbose: Also print the error of each credentials provider.
    """

    run: bool = False
    as_json: bool = False
    verbose: bool = False


def run_doctor(given: Mapping[str, Any], flags: Flags) -> int:
    """Checks everything that a task depends on.

    Args:
        given: Options of the executor that override the section of Covalent's configuration.
        flags: What to show and to do.

    Returns:
        The exit code: 0 all is well, 1 something is wrong, 2 nothing is but something could not be told.
    """
    report = _Report(flags)
    try:
        settings = checked(resolved(given), given)
    except SettingsError as error:
        report.add(failed("configuration", error.message, "give the option a value that is allowed"))
        return report.end()
    asyncio.run(_examine(settings, flags, report))
    return report.end()


async def _examine(settings: Settings, flags: Flags, report: _Report) -> None:
    case = Case(settings, client(settings, interactive=True))
    for name, step in checks.STEPS:
        if case.place is None and name not in checks.WITHOUT_CREDENTIALS:
            reason = f"not asked: no answer from {case.unresponsive_host}"
            report.add(unknown(name, reason if case.unresponsive_host else "not asked, for want of credentials"))
            continue
        try:
            found = await step(case)
        except AWSBatchError as error:
            found = [from_error(name, error)]
        except Exception as error:  # noqa: BLE001  (what one check stumbles over must not keep the others from being made)
            found = [unknown(name, f"could not tell: {error!r}")]
        for check in found:
            report.add(check)
    if flags.run and report.verdict is State.FAILED:
        report.add(unknown("run", "no job was submitted: mend what is wrong first"))
    elif flags.run:
        from . import trial

        report.add(await trial.run(settings, report.note))


class _Report:
    """The checks so far.

    Args:
        flags: How to show them; as JSON at the end.
    """

    def __init__(self, flags: Flags) -> None:
        self._as_json, self._verbose = flags.as_json, flags.verbose
        self._checks: list[Check] = []

    def add(self, check: Check) -> None:
        self._checks.append(check)
        if self._as_json:
            return
        sign, colour = _SIGNS[check.state]
        click.echo(f"{click.style(sign, colour)} {_indent(f'{check.name}: {check.found}')}")
        if check.fix:
            click.echo(f"    → {_indent(check.fix)}")
        if check.providers and self._verbose:
            click.echo(f"    {_indent(check.providers)}")

    def note(self, line: str) -> None:
        """Prints the progress of a check."""
        click.echo(f"    {_indent(line)}", err=self._as_json)

    @property
    def verdict(self) -> State:
        """The worst of the checks so far."""
        states = {check.state for check in self._checks}
        return next((state for state in (State.FAILED, State.UNKNOWN) if state in states), State.PASSED)

    def end(self) -> int:
        """Prints the summary and returns the exit code."""
        verdict = self.verdict
        if self._as_json:
            content = {"state": verdict.value, "checks": [_to_dict(check) for check in self._checks]}
            click.echo(json.dumps(content, indent=2))
        else:
            click.echo(_SUMMARIES[verdict])
        return _CODES[verdict]


def _indent(text: str) -> str:
    """Indents all lines of a text but the first, so that none looks like a line of the report."""
    return printable(text).replace("\n", "\n    ")


def _to_dict(check: Check) -> dict[str, Any]:
    return {**dataclasses.asdict(check), "state": check.state.value}
