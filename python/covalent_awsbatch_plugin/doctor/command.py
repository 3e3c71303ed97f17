"""`covalent-awsbatch doctor`: runs the checks, each of which is printed as soon as it is complete."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from covalent_awsbatch_plugin.errors import AWSBatchError, SettingsError
from covalent_awsbatch_plugin.options.checks import checked
from covalent_awsbatch_plugin.options.configuration import resolved
from covalent_awsbatch_plugin.options.settings import Settings
from covalent_awsbatch_plugin.show.spinner import Spinner
from covalent_awsbatch_plugin.task.connection import client

from . import checks
from .checks.base import Case, Check, State, Step, failed, from_error, unknown
from .report import Report

_CODES = {State.PASSED: 0, State.FAILED: 1, State.UNKNOWN: 2}


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


def run_doctor(given: Mapping[str, Any], flags: Flags, spinner: Spinner) -> int:
    """Checks everything that a task depends on.

    Args:
        given: Options of the executor that override the section of Covalent's configuration.
        flags: What to show and to do.
        spinner: Shows what is looked at.

    Returns:
        The exit code: 0 all is well, 1 something is wrong, 2 nothing is but something could not be told.
    """
    report = Report(spinner, as_json=flags.as_json, verbose=flags.verbose)
    try:
        settings = checked(resolved(given), given)
    except SettingsError as error:
        report.add(failed("configuration", error.message, "give the option a value that is allowed"))
    else:
        spinner.show("looking at what a task needs")
        asyncio.run(_examine(settings, flags, report, spinner))
    report.end()
    return _CODES[report.verdict]


async def _examine(settings: Settings, flags: Flags, report: Report, spinner: Spinner) -> None:
    case = Case(settings, client(settings, interactive=True))
    is_first = True
    for name, step in checks.STEPS:
        spinner.detail(f"looking at: {name}")
        found = await made(case, name, step)
        if is_first:  # it is about the credentials, by which the account is known
            report.head(settings, case.place.account if case.place else "")
        is_first = False
        for check in found:
            report.add(check)
    if flags.run and report.verdict is State.FAILED:
        report.add(unknown("run", "no job was submitted: mend what is wrong first"))
    elif flags.run:
        from . import trial

        spinner.detail("running a job")
        report.add(await trial.run(settings, report.note))


async def made(case: Case, name: str, step: Step) -> Sequence[Check]:
    """What a check finds, or why it could not be made.

    Args:
        case: The configuration.
        name: Of the check.
        step: The check.
    """
    if case.place is None and name not in checks.WITHOUT_CREDENTIALS:
        reason = f"not asked: no answer from {case.unresponsive_host}"
        return [unknown(name, reason if case.unresponsive_host else "not asked, for want of credentials")]
    try:
        return await step(case)
    except AWSBatchError as error:
        return [from_error(name, error)]
    except Exception:  # noqa: BLE001  (what one check stumbles over must not keep the others from being made)
        found = "could not tell: the check itself failed, which is a fault of this program; `--verbose` shows where"
        return [Check(name, State.UNKNOWN, found, providers=traceback.format_exc())]
