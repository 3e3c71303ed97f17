"""`covalent-awsbatch jobs`: lists the executor's jobs and, after confirmation, terminates orphans."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection
from dataclasses import dataclass

import click
from rich.console import Console
from rich.text import Text

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.errors import AWSBatchError, unanswered
from covalent_awsbatch_plugin.options.settings import Settings
from covalent_awsbatch_plugin.server import orphans
from covalent_awsbatch_plugin.server.orphans import Job, Survey, Verdict
from covalent_awsbatch_plugin.task.connection import client

from . import job_table
from .job_table import Row
from .named import count
from .spinner import Spinner
from .wrapping import say, width

FINE, FAILED, COULD_NOT_TELL = 0, 1, 2

_NAMED_LOST = 3
"""Lost dispatches that are named one by one."""


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
        wide: Show whole ids and reasons, whatever the terminal's width.
    """

    ended: bool = False
    orphans: bool = False
    terminate: bool = False
    force: bool = False
    yes: bool = False
    as_json: bool = False
    wide: bool = False


@dataclass(frozen=True)
class Shown:
    """The jobs that are shown.

    Attributes:
        survey: All jobs of the queue.
        rows: A row for each of those that were asked for.
        problem: Why AWS did not say more of them than their states; empty if it did.
    """

    survey: Survey
    rows: list[Row]
    problem: str = ""

    @property
    def jobs(self) -> list[Job]:
        """The jobs of the rows."""
        return [row.job for row in self.rows]

    @property
    def ids(self) -> list[str]:
        """Ids from which short ones have to be told."""
        return [one for job in self.survey.jobs for one in (job.id, job.dispatch_id)]


def run_jobs(settings: Settings, flags: Flags, spinner: Spinner) -> int:
    """Shows the executor's jobs in the queue, and ends the orphans among them if the flags say so.

    Args:
        settings: Whose `batch_queue`, account and region count.
        flags: What to show and to do.
        spinner: Shows what is done.

    Returns:
        The exit code: 0 fine, 1 a job could not be ended, 2 it could not be told of some job whether it is an orphan.

    Raises:
        AWSBatchError: AWS did not answer; nothing was done.
    """
    connection = client(settings, interactive=True)
    spinner.show(f"asking for the jobs of queue {settings.batch_queue}")
    shown = look(connection, settings, flags)
    spinner.hide()
    survey = shown.survey
    if survey.problem:
        say(
            f"{survey.problem}. Start it, or run this where it runs: until then nobody can tell which jobs are orphans."
        )
    unclear = {job.id for job in survey.jobs if job.verdict is Verdict.UNKNOWN}
    selected = [job for job in shown.jobs if job.verdict is Verdict.ORPHAN or flags.force] if flags.terminate else []
    if not flags.as_json:
        _show(shown, settings, flags)
    if not (flags.yes or not selected or click.confirm(f"Terminate {count(len(selected), 'job')}?", err=True)):
        selected = []
    ended, problems = _end(connection, selected)
    unclear -= ended
    if unclear and not survey.problem:
        say(
            f"Whether anybody waits for {count(len(unclear), 'job')} cannot be told from here: submitted from another "
            "machine or home, or by version 0.42.0. Run this where the Covalent server runs, as its user."
        )
    of_ended = {job.dispatch_id for job in shown.jobs if job.id in ended}
    lost = [dispatch for dispatch in survey.lost if dispatch not in of_ended]
    if lost:
        some = "a dispatch that is" if len(lost) == 1 else f"{len(lost)} dispatches that are"
        which = " ".join(lost) if len(lost) <= _NAMED_LOST else "--all"
        say(f"No server goes on with {some} RUNNING: `covalent-awsbatch resume {which}` does.")
    if flags.as_json:
        _write_json(shown, settings, ended, lost)
    if problems:
        return FAILED
    return COULD_NOT_TELL if unclear or survey.problem else FINE


def look(connection: Client, settings: Settings, flags: Flags, also: Collection[str] = ()) -> Shown:
    """Asks for the jobs of the queue, and for more of those that wait or failed.

    Args:
        connection: Client of the queue's account and region.
        settings: Whose queues count.
        flags: Which to show.
        also: Ids of jobs to show whatever has become of them.

    Raises:
        AWSBatchError: AWS did not answer.
    """
    try:
        survey = orphans.survey(connection, *settings.queues)
    except AWSBatchError as error:
        if not error.details.get("endpoint"):
            raise
        raise unanswered(error, "which jobs there are and who waits for them; none was ended") from error
    selected = [job for job in survey.jobs if job.id in also or _is_selected(job, flags, survey)]
    described, problem = {}, ""
    try:
        described = orphans.described(connection, [job.id for job in selected if job.status != "SUCCEEDED"])
    except AWSBatchError as error:
        problem = error.message
    return Shown(survey, job_table.rows(selected, described), problem)


def nothing(settings: Settings, flags: Flags) -> str:
    """That there is no job to show, as a sentence.

    Args:
        settings: Whose `batch_queue` and region count.
        flags: Which were asked for.
    """
    kind = "No orphan" if flags.orphans or flags.terminate else "No job" if flags.ended else "No live job"
    return f"{kind} in queue {' or '.join(settings.queues)}, region {settings.region}."


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
    for line in [f"Terminated {count(len(ended), 'job')}.", *problems]:
        say(line)
    return {job.id for job in ended}, problems


def _show(shown: Shown, settings: Settings, flags: Flags) -> None:
    """Prints the table, or that there are no such jobs."""
    console = Console(highlight=False)
    lines = job_table.lines(shown.rows, shown.ids, width(console), wide=flags.wide) if shown.rows else []
    for line in lines or [Text(nothing(settings, flags))]:
        console.print(line, soft_wrap=True)
    if not (lines or flags.ended or flags.orphans or flags.terminate):
        console.print("`covalent-awsbatch jobs --all` shows those that have ended, too.", soft_wrap=True)
    if shown.problem:
        say(shown.problem)


def _write_json(shown: Shown, settings: Settings, ended: Collection[str], lost: list[str]) -> None:
    content = {
        "queue": settings.batch_queue,
        "region": settings.region,
        "problem": shown.survey.problem or None,
        "lost_dispatches": lost,
        "jobs": [
            {
                **dataclasses.asdict(row.job),
                "label": row.electron,
                "why": row.why or None,
                "terminated": row.job.id in ended,
            }
            for row in shown.rows
        ],
    }
    click.echo(json.dumps(content, indent=2))
