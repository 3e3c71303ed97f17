"""The executor's jobs in a table: a line a job, which fits 80 columns and has ids that every command takes."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text

from covalent_awsbatch_plugin._core import Job as CoreJob
from covalent_awsbatch_plugin.printable import one_line
from covalent_awsbatch_plugin.server import database
from covalent_awsbatch_plugin.server.database import DatabaseError, Electron
from covalent_awsbatch_plugin.server.orphans import Job, Verdict

from . import earlier, explanation
from .amounts import duration
from .columns import aligned
from .short_ids import short
from .wrapping import shortened

STYLES = {"SUCCEEDED": "green", "FAILED": "red", "RUNNING": "cyan", "STARTING": "cyan"}
"""Colours of states."""

_HEADER = ("STATE", "AGE", "ELECTRON", "DISPATCH", "JOB", "WHY")
_WIDEST_NAME = 20
"""Columns of an electron's name where the table has to fit a terminal."""

_SUBLATTICE = ":sublattice:"
"""What Covalent puts before the name of an electron that builds a sublattice."""

_WAITS_FOR = {
    Verdict.ORPHAN: "nobody waits for it",
    Verdict.FOREIGN: "another server's",
    Verdict.UNKNOWN: "cannot tell who waits",
}
_VERDICT_STYLES = {Verdict.ORPHAN: "red", Verdict.UNKNOWN: "yellow", Verdict.FOREIGN: "dim"}
_MEANINGS = {"RUNNABLE": "waits for a machine", "STARTING": "its container is being started"}


@dataclass(frozen=True)
class Row:
    """A job as the table shows it.

    Attributes:
        job: The job.
        electron: How its electron is called in output: `train[3]`, or `node[3]` where its name is not known here.
        why: Why it waits or failed, and that nobody waits for it; empty where there is nothing to say.
    """

    job: Job
    electron: str
    why: str


def rows(jobs: Collection[Job], described: Mapping[str, CoreJob]) -> list[Row]:
    """What the table shows of jobs.

    Args:
        jobs: The jobs.
        described: What AWS Batch says of those of which more is to be said than their state, by id.
    """
    electrons = _electrons({job.dispatch_id for job in jobs})
    found = []
    for job in jobs:
        electron = electrons.get((job.dispatch_id, job.node_id))
        name = electron.name.removeprefix(_SUBLATTICE) if electron is not None else "node"
        parts = (_WAITS_FOR.get(job.verdict, ""), _reason(job, described.get(job.id), electron))
        found.append(Row(job, one_line(f"{name}[{job.node_id}]"), "; ".join(filter(None, parts))))
    return found


def lines(shown: Sequence[Row], all_ids: Collection[str], columns: int | None, *, wide: bool) -> list[Text]:
    """The table, with its header.

    Args:
        shown: Its rows.
        all_ids: Ids that the short ones have to be told from.
        columns: Columns of the terminal; None for a program, for which nothing is cut.
        wide: Whole ids and reasons, whatever the width.
    """
    ids = short([*all_ids, *(one.job.id for one in shown), *(one.job.dispatch_id for one in shown)])
    cut = None if wide else columns
    table = [[Text(title, "bold") for title in _HEADER]]
    for row in shown:
        job = row.job
        names = [one_line(one if wide else ids[one]) for one in (job.dispatch_id, job.id)]
        table.append(
            [
                Text(one_line(job.status), STYLES.get(job.status, "")),
                Text(duration(time.time() - job.created_at / 1000)),
                Text(row.electron if cut is None else shortened(row.electron, _WIDEST_NAME)),
                *map(Text, names),
                Text(row.why, _VERDICT_STYLES.get(job.verdict, "")),
            ]
        )
    return aligned(table, cut)


def _reason(job: Job, known: CoreJob | None, electron: Electron | None) -> str:
    """Why it waits or failed, in a few words."""
    if job.status == "FAILED":
        return one_line(_failure(known, electron))
    attempt = f"attempt {known.attempts + 1}" if known is not None and known.attempts else ""
    waits = ""
    if job.status in _MEANINGS:
        said = None if known is None else known.meaning or known.status_reason
        waits = said or _MEANINGS[job.status]
    return one_line(", ".join(filter(None, (attempt, waits))))


def _failure(known: CoreJob | None, electron: Electron | None) -> str:
    if known is None:
        return ""
    if known.cause == "exited" and electron is not None and electron.job_id in ("", known.id):
        # Of a function that raised, Covalent keeps the exception.
        _, message = explanation.raised(explanation.said(electron))
        return message.partition("\n")[0] or earlier.in_words(known)
    return earlier.in_words(known)


def _electrons(dispatch_ids: Collection[str]) -> Mapping[tuple[str, int], Electron]:
    """The electrons of dispatches, as far as Covalent's database here has them."""
    try:
        found = database.dispatches(dispatch_ids)
    except DatabaseError:
        return {}
    return {(one.id, node): electron for one in found for node, electron in one.electrons.items()}
