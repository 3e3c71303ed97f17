"""How it is with each electron of a dispatch: it runs, waits for something, or is done."""

from __future__ import annotations

import enum
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from covalent_awsbatch_plugin.printable import one_line
from covalent_awsbatch_plugin.server import live
from covalent_awsbatch_plugin.show.amounts import duration
from covalent_awsbatch_plugin.show.following import Following
from covalent_awsbatch_plugin.show.named import OWN, Task
from covalent_awsbatch_plugin.show.reading import Followed

_WAITING_STATES = frozenset({"SUBMITTED", "PENDING", "RUNNABLE", "STARTING"})
_BEGUN = frozenset({"RUNNING", "DISPATCHING", "POSTPROCESSING"})
_COVALENTS_OWN = ":"
"""Names of nodes that Covalent makes begin so."""
_PREPARED_SOON = 10
"""Seconds that it takes to submit a job whose packages are in the bucket already, and more."""
_PACKED_FIRST = "; packages that no job has had yet are packed first, once"

_SAME = "the same"
_LONG = 30
"""Characters of a reason that is not repeated."""


class Kind(str, enum.Enum):
    """How it is with an electron."""

    FAILED = "failed"
    RUNNING = "running"
    WAITING = "waiting"
    CANCELLED = "cancelled"
    NOT_BEGUN = "not begun"
    DONE = "done"


@dataclass(frozen=True)
class Row:
    """An electron. Its texts are printable.

    Attributes:
        label: How it is called, such as `train[3]`.
        kind: How it is with it.
        why: What it waits for, or what else is to be said; may be empty.
        since: When this began, in seconds since 1970; None if that is not known.
        until: When it ended; None if it has not.
    """

    label: str
    kind: Kind
    why: str = ""
    since: float | None = None
    until: float | None = None

    def seconds(self, now: float) -> float | None:
        """How long it has been so, or took.

        Args:
            now: Seconds since 1970.
        """
        return None if self.since is None else max(0.0, (self.until or now) - self.since)


@dataclass(frozen=True)
class Snapshot:
    """A dispatch at a moment.

    Attributes:
        dispatch_id: Its id.
        name: Name of its lattice; empty if it is not known.
        status: Such as `RUNNING`; empty if it is not known.
        rows: The electrons that somebody wrote: those that failed first, then those that run, wait, and are done.
        since: When it began, in seconds since 1970; None if that is not known.
        until: When it ended; None if it has not.
    """

    dispatch_id: str
    name: str = ""
    status: str = ""
    rows: tuple[Row, ...] = ()
    since: float | None = None
    until: float | None = None

    def title(self, now: float) -> str:
        """Its name, id, status and age in one line.

        Args:
            now: Seconds since 1970.
        """
        age = "" if self.since is None else f" · {duration((self.until or now) - self.since)}"
        return " ".join(filter(None, (self.name, self.dispatch_id, self.status))) + age

    @property
    def counts(self) -> str:
        """How many electrons run, wait, are done, and so on: `2 running · 1 waiting · 5 done`."""
        counted = Counter(row.kind for row in self.rows)
        shown = [f"{number} {kind.value}" for kind in _ORDER if (number := counted[kind]) or kind in _ALWAYS]
        return " · ".join(shown)


_ENDED: Mapping[str, Kind] = {"COMPLETED": Kind.DONE, "CANCELLED": Kind.CANCELLED, "FAILED": Kind.FAILED}
_ORDER = (Kind.RUNNING, Kind.WAITING, Kind.DONE, Kind.FAILED, Kind.CANCELLED, Kind.NOT_BEGUN)
_ALWAYS = (Kind.RUNNING, Kind.WAITING, Kind.DONE)


def snapshot(following: Following) -> Snapshot:
    """How it is with a dispatch now.

    Args:
        following: What is known of it.
    """
    jobs = {one.task.job_id: one for one in following.reader.jobs}
    unended = {task.label for task in following.tasks if not task.electron.has_ended}
    root = following.named.family[0] if following.named.family else None
    rows = [_row(task, jobs.get(task.job_id), unended) for task in following.tasks]
    if root and root.has_ended:
        rows = [replace(row, kind=Kind.NOT_BEGUN, why="") if row.kind is Kind.WAITING else row for row in rows]
    shown = [
        row for row in rows if row.kind is Kind.FAILED or not row.label.rpartition("/")[2].startswith(_COVALENTS_OWN)
    ]
    order = {kind: number for number, kind in enumerate(Kind)}
    shown.sort(key=lambda row: order[row.kind])
    return Snapshot(
        dispatch_id=following.named.dispatch_id,
        name=one_line(root.name) if root else "",
        status=one_line(root.status) if root else "",
        rows=tuple(shown),
        since=root.started_at if root else None,
        until=root.ended_at if root and root.has_ended else None,
    )


def of_most(rows: tuple[Row, ...], most: int) -> tuple[tuple[Row, ...], str]:
    """As many rows as there is room for, and what is to be said of the others; that may be nothing.

    A long reason is told once for all rows that have it.

    Args:
        rows: All of them.
        most: How many there is room for.
    """
    before = ("", *(row.why for row in rows))
    rows = tuple(
        replace(row, why=_SAME) if row.why == why and len(why) > _LONG else row
        for row, why in zip(rows, before, strict=False)
    )
    if len(rows) <= most:
        return rows, ""
    left = Counter(row.kind.value for row in rows[most:])
    return rows[:most], "and " + ", ".join(f"{number} {kind}" for kind, number in left.items())


def _row(task: Task, followed: Followed | None, unended: set[str]) -> Row:
    electron = task.electron
    label = one_line(task.label)
    if electron.status in _ENDED:
        return Row(label, _ENDED[electron.status], "", electron.started_at, electron.ended_at)
    if followed is not None:
        return _row_of_job(label, followed)
    if electron.status not in _BEGUN:
        return Row(label, Kind.WAITING, _before(task, unended))
    if electron.executor == OWN and electron.status == "RUNNING":
        long = electron.started_at is not None and time.time() - electron.started_at > _PREPARED_SOON
        done = one_line(live.waits_for(electron.text("stderr")))
        why = done or "its job is being prepared and submitted" + _PACKED_FIRST * long
        return Row(label, Kind.WAITING, why, electron.started_at)
    why = "its sublattice runs" if electron.sub_dispatch else f"on {one_line(electron.executor) or 'the server'}"
    return Row(label, Kind.RUNNING, why, electron.started_at)


def _row_of_job(label: str, followed: Followed) -> Row:
    """The row of an electron with a job that Covalent has not ended."""
    job, status = followed.job, followed.status
    if job is None:
        why = "AWS Batch has not been asked yet" if followed.is_known else "AWS Batch has no record of its job"
        return Row(label, Kind.WAITING, why)
    before = followed.attempts_before + job.attempts
    attempt = f"attempt {before + 1}" if before else ""
    if status in _WAITING_STATES:
        ended = [one["stopped_at"] for one in job.ended_attempts if one["stopped_at"]]
        began = ended[-1] if ended else job.created_at
        reason = ": ".join(filter(None, ((job.status_reason or "").rstrip(" ."), job.meaning)))
        why = ": ".join(filter(None, (status, reason)))
        return Row(label, Kind.WAITING, one_line(", ".join(filter(None, (attempt, why)))), _seconds(began))
    if status == "RUNNING":
        return Row(label, Kind.RUNNING, attempt, _seconds(job.started_at))
    known = followed.task.electron.files
    if not known and status != "VANISHED":  # Covalent's database does not have it: AWS Batch has the last word
        kind = Kind.DONE if status == "SUCCEEDED" else Kind.FAILED
        return Row(label, kind, "", _seconds(job.started_at), _seconds(job.stopped_at))
    return Row(label, Kind.RUNNING, f"its job is {status}; its result is being fetched", _seconds(job.stopped_at))


def _before(task: Task, unended: set[str]) -> str:
    """What an electron waits for that has not begun."""
    within, _, _ = task.label.rpartition("/")
    before = f"{within}/" if within else ""
    unmade = dict.fromkeys(value for _, value in task.electron.arguments if f"{before}{value}" in unended)
    needed = [one_line(value) for value in unmade if not value.startswith(_COVALENTS_OWN)]
    if not needed:
        return "for other electrons" if unmade else "is about to begin"
    more = f" and {len(needed) - 1} more" if len(needed) > 1 else ""
    return f"for {needed[0]}{more}"


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
