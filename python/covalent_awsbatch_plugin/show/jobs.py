"""`covalent-awsbatch jobs`: lists the executor's jobs and, after confirmation, terminates orphans."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Collection
from dataclasses import dataclass

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.errors import AWSBatchError, unanswered
from covalent_awsbatch_plugin.options.settings import Settings
from covalent_awsbatch_plugin.printable import one_line, printable
from covalent_awsbatch_plugin.server import orphans
from covalent_awsbatch_plugin.server.orphans import Job, Survey, Verdict
from covalent_awsbatch_plugin.task.connection import client

FINE, FAILED, COULD_NOT_TELL = 0, 1, 2

_WAITS = {
    Verdict.ENDED: Text("-"),
    Verdict.AWAITED: Text("this server", "green"),
    Verdict.ORPHAN: Text("nobody", "red"),
    Verdict.FOREIGN: Text("another server", "dim"),
    Verdict.UNKNOWN: Text("cannot tell", "yellow"),
}

_WIDTH = 180
"""Columns where there is no terminal: an id must not be broken."""


@dataclass(frozen=True)
class Flags:
    """What the command was asked for.

    Attributes:
        ended: Show jobs that have ended, too.
        orphans: Show only jobs that nobody waits for.
        terminate: End those.
        force: Also terminate those that may be orphans.
        yes: Don't ask.
        as_json: Write JSON in place of a table.
    """

    ended: bool = False
    orphans: bool = False
    terminate: bool = False
    force: bool = False
    yes: bool = False
    as_json: bool = False


def run_jobs(settings: Settings, flags: Flags) -> int:
    """Shows the executor's jobs in the queue, and ends the orphans among them if the flags say so.

    Args:
        settings: Whose `batch_queue`, account and region count.
        flags: What to show and to do.

    Returns:
        The exit code: 0 fine, 1 a job could not be ended, 2 it could not be told of some job whether it is an orphan.

    Raises:
        AWSBatchError: AWS did not answer; nothing was done.
    """
    connection = client(settings, interactive=True)
    try:
        survey = orphans.survey(connection, settings.batch_queue)
    except AWSBatchError as error:
        if not error.details.get("endpoint"):
            raise
        raise unanswered(error, "which jobs there are and who waits for them; none was ended") from error
    if survey.problem:
        _say(
            f"{survey.problem}. Start it, or run this where it runs: until then nobody can tell which jobs are orphans."
        )
    shown = [job for job in survey.jobs if _is_selected(job, flags, survey)]
    unclear = {job.id for job in survey.jobs if job.verdict is Verdict.UNKNOWN}
    selected = [job for job in shown if job.verdict is Verdict.ORPHAN or flags.force] if flags.terminate else []
    if not flags.as_json:
        _show(shown, settings, flags)
    if not (flags.yes or not selected or click.confirm(f"Terminate {_count(selected)}?", err=True)):
        selected = []
    ended, problems = _end(connection, selected)
    unclear -= ended
    if unclear and not survey.problem:
        _say(
            f"Whether anybody waits for {_count(unclear)} cannot be told from here: submitted from another machine or "
            "home, or by version 0.42.0. Run this where the Covalent server runs, as its user."
        )
    lost = [
        dispatch for dispatch in survey.lost if dispatch not in {job.dispatch_id for job in shown if job.id in ended}
    ]
    if lost:
        count = "a dispatch that is" if len(lost) == 1 else f"{len(lost)} dispatches that are"
        _say(f"No server goes on with {count} RUNNING: `covalent-awsbatch resume {' '.join(lost)}` does.")
    if flags.as_json:
        _write_json(shown, settings, survey, ended, lost)
    if problems:
        return FAILED
    return COULD_NOT_TELL if unclear or survey.problem else FINE


def _is_selected(job: Job, flags: Flags, survey: Survey) -> bool:
    if not (flags.orphans or flags.terminate):
        return flags.ended or orphans.is_live(job)
    if job.verdict is Verdict.UNKNOWN:
        return flags.force or bool(survey.problem)
    return job.verdict is Verdict.ORPHAN


def _end(connection: Client, selected: Collection[Job]) -> tuple[set[str], list[str]]:
    """Terminates jobs, reports that to Covalent, and prints the outcome.

    Returns:
        The ids of terminated jobs, and problems.
    """
    if not selected:
        return set(), []
    failures = orphans.terminate(connection, selected)
    ended = [job for job in selected if job.id not in failures]
    problems = [f"Job {job_id} could not be terminated: {failure}" for job_id, failure in failures.items()]
    reported = {job: orphans.report_cancelled(job) for job in ended}
    problems += [
        f"Job {job.id} was terminated, but dispatch {job.dispatch_id} stays RUNNING: {why}"
        for job, why in reported.items()
        if why
    ]
    for line in [f"Terminated {_count(ended)}.", *problems]:
        _say(line)
    return {job.id for job in ended}, problems


def _show(jobs: Collection[Job], settings: Settings, flags: Flags) -> None:
    """Prints the table, or that there are no such jobs."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    if not jobs:
        kind = "No orphan" if flags.orphans or flags.terminate else "No job" if flags.ended else "No live job"
        console.print(f"{kind} in queue {settings.batch_queue}, region {settings.region}.", soft_wrap=True)
        return
    table = Table("job", "state", "age", "dispatch", "node", "Covalent says", "who waits")
    for job in jobs:
        table.add_row(
            Text(one_line(job.id)),
            Text(one_line(job.status)),
            _age(job),
            Text(one_line(job.dispatch_id)),
            str(job.node_id),
            Text(one_line(_covalent_status(job))),
            _WAITS[job.verdict],
        )
    console.print(table)


def _covalent_status(job: Job) -> str:
    if job.electron:
        return f"{job.dispatch}, electron {job.electron}"
    return job.dispatch or "-"


def _age(job: Job) -> str:
    minutes = max(0, int(time.time() - job.created_at / 1000)) // 60
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def _write_json(
    jobs: Collection[Job], settings: Settings, survey: Survey, ended: Collection[str], lost: list[str]
) -> None:
    content = {
        "queue": settings.batch_queue,
        "region": settings.region,
        "problem": survey.problem or None,
        "lost_dispatches": lost,
        "jobs": [{**dataclasses.asdict(job), "terminated": job.id in ended} for job in jobs],
    }
    click.echo(json.dumps(content, indent=2))


def _say(text: str) -> None:
    click.echo(printable(text), err=True)


def _count(jobs: Collection[object]) -> str:
    return "1 job" if len(jobs) == 1 else f"{len(jobs)} jobs"
