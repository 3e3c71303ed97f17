"""What is known of the electrons of a dispatch, their jobs and the attempts of those."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from covalent_awsbatch_plugin.printable import one_line
from covalent_awsbatch_plugin.show.named import Named, Task

MIB = 1024 * 1024


@dataclass(frozen=True)
class Usage:
    """What an attempt left word of.

    Attributes:
        attempt: Which one of the electron, from 1; None if it did not know.
        process_bytes: Most memory of its largest process; None if that is not known.
        container_bytes: Most memory of its container, with the files that Linux kept in memory; None likewise.
        pull_started_at: When the pull of its image began, in seconds since 1970; None likewise.
        pull_stopped_at: When it ended, likewise.
    """

    attempt: int | None = None
    process_bytes: int | None = None
    container_bytes: int | None = None
    pull_started_at: float | None = None
    pull_stopped_at: float | None = None

    @property
    def peak_bytes(self) -> int | None:
        """What it certainly needed no more than, or else what its largest process took."""
        return self.container_bytes if self.container_bytes is not None else self.process_bytes


@dataclass(frozen=True)
class Attempt:
    """An attempt of a job. Times are in seconds since 1970, and None if they are not known.

    Attributes:
        number: Which one of the electron, from 1: those of a further job are counted on.
        queued_at: When the job was submitted, or its attempt before had ended.
        started_at: When its container began to run.
        stopped_at: When it ended.
        exit_code: Exit code of the container; None if there is none (yet).
        reason: Why it ended; may be empty.
    """

    number: int
    queued_at: float | None
    started_at: float | None
    stopped_at: float | None
    exit_code: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class Asked:
    """What a job asked for.

    Attributes:
        vcpus: How many vCPUs, on each of its nodes.
        memory_mib: MiB of memory of each.
        gpus: How many GPUs of each.
        is_fargate: Whether it is for Fargate, and not for EC2.
        nodes: How many nodes it has.
    """

    vcpus: float
    memory_mib: float
    gpus: float = 0.0
    is_fargate: bool = False
    nodes: int = 1


@dataclass(frozen=True)
class Submitted:
    """A job of an electron.

    Attributes:
        id: Its id.
        status: Such as `FAILED`; `VANISHED` if AWS Batch has no record of it any more; empty if it did not answer.
        queue: Name of its queue; empty if it is not known.
        asked: What it asked for; None if that is not known.
        was_killed: Whether it was killed for its memory, as far as can be told.
        attempts: Its attempts, oldest first.
        console: Its page in AWS's console; None where there is none.
    """

    id: str
    status: str
    queue: str = ""
    asked: Asked | None = None
    was_killed: bool = False
    attempts: tuple[Attempt, ...] = ()
    console: str | None = None


@dataclass(frozen=True)
class Work:
    """An electron with its jobs.

    Attributes:
        task: The electron.
        jobs: Its jobs, oldest first: a further one follows where an attempt is to have more memory or another queue,
            or where a node failed.
        usage: What the attempt left word of that left the result.
    """

    task: Task
    jobs: tuple[Submitted, ...] = ()
    usage: Usage = Usage()

    @property
    def label(self) -> str:
        """How it is called."""
        return one_line(self.task.label)

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The attempts of all its jobs, oldest first."""
        return tuple(attempt for job in self.jobs for attempt in job.attempts)

    @property
    def newest(self) -> Submitted | None:
        """Its newest job; None if it has none."""
        return self.jobs[-1] if self.jobs else None

    def pull(self, attempt: Attempt, until: float) -> tuple[float, float] | None:
        """When an attempt's image was pulled, from the beginning to the end; None if that is not known.

        Args:
            attempt: The attempt.
            until: When its container began, or what counts in place of that, in seconds since 1970.
        """
        begin, end = self.usage.pull_started_at, self.usage.pull_stopped_at
        if self.usage.attempt != attempt.number or attempt.queued_at is None or begin is None or end is None:
            return None
        return (begin, end) if attempt.queued_at <= begin <= end <= until else None

    def differing(self, job: Submitted) -> str:
        """The memory and the queue of a job where its electron's jobs do not have the same; empty if they have.

        Args:
            job: One of its jobs.
        """
        sizes = {one.asked.memory_mib for one in self.jobs if one.asked is not None}
        queues = {one.queue for one in self.jobs if one.queue}
        memory = gb(job.asked.memory_mib) if job.asked is not None and len(sizes) > 1 else ""
        queue = f"queue {one_line(job.queue)}" if job.queue and len(queues) > 1 else ""
        return ", ".join(filter(None, (memory, queue)))


@dataclass(frozen=True)
class Run:
    """A dispatch.

    Attributes:
        named: The dispatch and its sublattices.
        works: Its electrons, in the order of the graph; without those that Covalent makes and that had no job.
        problems: What could not be found out, as sentences.
    """

    named: Named
    works: tuple[Work, ...]
    problems: tuple[str, ...]


def usage_of(text: str) -> Usage:
    """What an attempt left word of; anybody who may write to the bucket may have written it.

    Args:
        text: The metadata `USAGE_METADATA`.
    """
    try:
        said = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return Usage()
    said = said if isinstance(said, dict) else {}
    return Usage(
        attempt=_whole(said.get("attempt")),
        process_bytes=_whole(said.get("peak_rss_bytes")),
        container_bytes=_whole(said.get("container_peak_bytes")),
        pull_started_at=_time(said.get("pull_started_at")),
        pull_stopped_at=_time(said.get("pull_stopped_at")),
    )


def _whole(value: Any) -> int | None:
    return value if type(value) is int and 0 < value < 2**50 else None


def _time(value: Any) -> float | None:
    number = type(value) in (int, float) and math.isfinite(value) and 0 < value < 2**40
    return float(value) if number else None


def gb(mib: float) -> str:
    """An amount of memory, as `3.75 GB`.

    Args:
        mib: How many MiB.
    """
    return f"{mib / 1024:.2f} GB"
