"""The jobs of an electron before its newest one, which followed another: what AWS Batch says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from covalent_awsbatch_plugin._core import Client, Job
from covalent_awsbatch_plugin.printable import one_line
from covalent_awsbatch_plugin.server import orphans
from covalent_awsbatch_plugin.task.resubmission import is_out_of_memory

from .named import count


@dataclass(frozen=True)
class EarlierJob:
    """A job that another one of its electron followed. All texts are printable.

    Attributes:
        job_id: Its id.
        ended: How it ended, in a few words, such as `out of memory with 2 GB`.
        attempts: How many attempts it made; None if AWS Batch has no record of it any more.
        console: Its page in AWS's console; None where there is none.
    """

    job_id: str
    ended: str
    attempts: int | None = None
    console: str | None = None


def with_earlier(connection: Client, jobs: Mapping[str, Job]) -> dict[str, Job]:
    """Look up the jobs before others. Where none follows another one or has several nodes, AWS is not asked.

    Args:
        connection: By which AWS is asked.
        jobs: Those that are known, by id.

    Returns:
        All of them, by id; those that AWS Batch has no record of are missing.

    Raises:
        AWSBatchError: AWS did not answer.
    """
    known, asked = dict(jobs), set(jobs)
    while wanted := _missing(known) - asked:
        asked |= wanted
        known |= orphans.described(connection, sorted(wanted))
    return known


def _missing(known: Mapping[str, Job]) -> set[str]:
    """The jobs before those that are known, and the main nodes that tell which they are."""
    found = {f"{job.id}#0" for job in known.values() if job.nodes} | {_previous(job, known) for job in known.values()}
    return found - {""}


def _previous(job: Job, known: Mapping[str, Job]) -> str:
    """The job that one follows, as that or its main node says; empty if it is the first."""
    main = known.get(f"{job.id}#0")
    return job.previous_job or (main.previous_job if main is not None else "") or ""


def earlier(job: Job | None, known: Mapping[str, Job], *, has_console: bool) -> list[EarlierJob]:
    """The jobs before one, oldest first.

    Args:
        job: The newest one; None if it is not known.
        known: What `with_earlier` returned.
        has_console: Whether AWS has a page of them.
    """
    found: dict[str, EarlierJob] = {}
    one = job
    while job is not None and one is not None and (previous := _previous(one, known)) and previous not in found:
        one = known.get(previous)
        found[previous] = _earlier(previous, one, job, has_console=has_console)
    return [*reversed(found.values())]


def _earlier(job_id: str, job: Job | None, newest: Job, *, has_console: bool) -> EarlierJob:
    if job is None:
        return EarlierJob(one_line(job_id), "AWS Batch has no record of it any more")
    tells_memory = job.memory_mib and (is_out_of_memory(job) or job.memory_mib != newest.memory_mib)
    parts = [
        in_words(job) or job.status,
        f"with {(job.memory_mib or 0) / 1024:.3g} GB" if tells_memory else "",
        f"in queue {job.queue.rpartition('/')[2]}" if job.queue != newest.queue else "",
        f"after {count(job.attempts, 'attempt')}" if job.attempts > 1 else "",
    ]
    text = one_line(" ".join(filter(None, parts)))
    return EarlierJob(one_line(job_id), text, job.attempts, job.console if has_console else None)


def in_words(job: Job) -> str:
    """How a job failed, in a few words; empty if AWS does not tell.

    Args:
        job: A job that failed.
    """
    if job.cause == "exited":
        return f"exit code {job.exit_code}"
    if job.cause in ("unknown", "terminated"):
        return job.container_reason or job.status_reason or ""
    return job.cause.replace("_", " ")
