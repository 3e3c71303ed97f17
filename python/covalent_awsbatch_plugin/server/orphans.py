"""Finds and terminates orphans: jobs of the executor that no process waits for.

A job outlives a Covalent server that was killed, and goes on to cost money. Two sources say whether a process still
waits for it. The Covalent server knows the status of dispatch and electron, but says RUNNING also for those that it
lost when it was killed. The files of `presence` distinguish a live server from one that has ended. A job is an orphan
only if both agree: other Covalent servers may share the queue, and their jobs look the same.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from covalent_awsbatch_plugin import errors
from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin._core import Job as CoreJob
from covalent_awsbatch_plugin.agreement.naming import JOB_NAME, parted_job_name

from . import api, presence
from .api import ServerUnreachableError

REASON = "Terminated as an orphan by covalent-awsbatch jobs"

_PREFIX = JOB_NAME.partition("{")[0]

_ENDED_JOB_STATES = {"SUCCEEDED", "FAILED", "VANISHED"}
_ENDED_DISPATCH_STATES = {"COMPLETED", "FAILED", "CANCELLED"}
_UNENDED_DISPATCH_STATES = ["RUNNING", "STARTING"]
# An electron that builds a sublattice is DISPATCHING once its job is over.
_ENDED_ELECTRON_STATES = _ENDED_DISPATCH_STATES | {"DISPATCHING"}

_IDS_PER_REQUEST = 100


class Verdict(str, enum.Enum):
    """Whether a process waits for a job."""

    ENDED = "ended"
    """It has ended."""
    AWAITED = "awaited"
    """A live server waits for it."""
    ORPHAN = "orphan"
    """No process waits for it."""
    FOREIGN = "foreign"
    """Its dispatch is unknown here: most likely another Covalent server shares the queue."""
    UNKNOWN = "unknown"
    """It is this server's, but it cannot be determined here whether a process waits for it."""


@dataclass(frozen=True)
class Job:
    """One of the executor's jobs.

    Attributes:
        id: Job id.
        name: Its name, which is made of dispatch and node.
        status: Its state in AWS Batch.
        created_at: When it was submitted, in milliseconds since 1970.
        dispatch_id: The dispatch it belongs to.
        node_id: The node of that dispatch's graph.
        dispatch: What Covalent says of the dispatch; empty if it does not know it or was not asked.
        electron: What Covalent says of the node; empty if it was not asked.
        verdict: Who waits for it.
    """

    id: str
    name: str
    status: str
    created_at: int
    dispatch_id: str
    node_id: int
    dispatch: str = ""
    electron: str = ""
    verdict: Verdict = Verdict.ENDED


@dataclass(frozen=True)
class Records:
    """The status of dispatches and electrons in a Covalent server.

    Attributes:
        dispatches: Status of each requested dispatch that exists.
        electrons: Status of each node of the dispatches that have not ended.
    """

    dispatches: Mapping[str, str]
    electrons: Mapping[tuple[str, int], str]


@dataclass(frozen=True)
class Survey:
    """The executor's jobs of a queue, classified.

    Attributes:
        jobs: The jobs, oldest first.
        problem: Why the Covalent server could not be asked; empty if it was.
        lost: Dispatches that an earlier server of this home left RUNNING, whether they have jobs or not.
    """

    jobs: list[Job]
    problem: str = ""
    lost: tuple[str, ...] = ()


def survey(connection: Client, *queues: str) -> Survey:
    """List the executor's jobs of queues and classify them.

    Args:
        connection: Client of the queues' account and region.
        *queues: Names or ARNs.

    Raises:
        AWSBatchError: AWS did not answer.
    """
    # Jobs before the other sources: a listed job was recorded by both before it was submitted.
    jobs = sorted((job for one in queues for job in list_jobs(connection, one)), key=lambda job: job.created_at)
    try:
        known, problem = records(job.dispatch_id for job in jobs if is_live(job)), ""
        with api.answers_of_covalent():
            unended = api.dispatches(status=_UNENDED_DISPATCH_STATES)
    except ServerUnreachableError as error:
        known, problem, unended = None, str(error), {}
    waiting = presence.waiting()
    jobs = classify(jobs, known, waiting)
    # A job that was listed as live may have ended since, and its electron after it. Then it is no orphan.
    now = _current_states(connection, [job.id for job in jobs if job.verdict is Verdict.ORPHAN])
    jobs = [replace(job, status=now.get(job.id, job.status)) for job in jobs]
    jobs = [job if is_live(job) else replace(job, verdict=Verdict.ENDED) for job in jobs]
    return Survey(jobs, problem, tuple(one for one in unended if one in waiting.dead - waiting.living))


def list_jobs(connection: Client, queue: str, dispatch_id: str = "") -> list[Job]:
    """List the executor's jobs of a queue in any state, oldest first, without classifying them.

    Args:
        connection: Client of the queue's account and region.
        queue: Name or ARN.
        dispatch_id: Beginning of the id of the dispatches whose jobs are wanted; empty for all.

    Raises:
        AWSBatchError: AWS did not answer.
    """

    async def ask() -> list[dict[str, Any]]:
        return await connection.list_jobs(queue, _PREFIX + dispatch_id)

    jobs = []
    for job in asyncio.run(ask()):
        if parts := parted_job_name(job["name"]):
            dispatch_id, node_id = parts
            created = job["created_at"] or 0
            jobs.append(Job(job["id"], job["name"], job["status"], created, dispatch_id, node_id))
    return sorted(jobs, key=lambda job: job.created_at)


def described(connection: Client, job_ids: list[str]) -> dict[str, CoreJob]:
    """What AWS Batch says of jobs, by id; those that it has no record of are missing.

    Args:
        connection: Client of their account and region.
        job_ids: The jobs.

    Raises:
        AWSBatchError: AWS did not answer.
    """

    async def ask() -> dict[str, CoreJob]:
        return await connection.describe_all(job_ids)

    return asyncio.run(ask()) if job_ids else {}


def is_live(job: Job) -> bool:
    """Whether a job has not ended yet."""
    return job.status not in _ENDED_JOB_STATES


def records(dispatch_ids: Iterable[str]) -> Records:
    """Ask the Covalent server of the configuration for dispatches and their electrons.

    Args:
        dispatch_ids: The dispatches.

    Raises:
        ServerUnreachableError: It does not answer, or not as a Covalent server does; the message says which and why.
    """
    with api.answers_of_covalent():
        return _records(sorted(set(dispatch_ids)))


def _records(ids: list[str]) -> Records:
    dispatches: dict[str, str] = {}
    electrons: dict[tuple[str, int], str] = {}
    for start in range(0, len(ids), _IDS_PER_REQUEST):
        dispatches |= api.dispatches(dispatch_id=ids[start : start + _IDS_PER_REQUEST])
    for dispatch_id, status in dispatches.items():
        if status not in _ENDED_DISPATCH_STATES:
            for node in api.nodes(dispatch_id):
                electrons[dispatch_id, node["id"]] = node["metadata"]["status"]
    return Records(dispatches, electrons)


def classify(jobs: Iterable[Job], known: Records | None, waiting: presence.Waiting) -> list[Job]:
    """Set the verdict of each job.

    Args:
        jobs: The jobs.
        known: What the Covalent server has on record; None if it could not be asked.
        waiting: Dispatches that processes of this home wait for.
    """
    return [_classify(job, known, waiting) for job in jobs]


def _classify(job: Job, known: Records | None, waiting: presence.Waiting) -> Job:
    dispatch = electron = ""
    if known is not None:
        dispatch = known.dispatches.get(job.dispatch_id, "")
        electron = known.electrons.get((job.dispatch_id, job.node_id), "")
    job = replace(job, dispatch=dispatch, electron=electron)
    return replace(job, verdict=_verdict(job, waiting, asked=known is not None))


def _verdict(job: Job, waiting: presence.Waiting, *, asked: bool) -> Verdict:
    living, dead = (job.dispatch_id in dispatches for dispatches in waiting)
    if not is_live(job):
        return Verdict.ENDED
    if not asked:
        return Verdict.UNKNOWN if living or dead else Verdict.FOREIGN
    if job.dispatch in _ENDED_DISPATCH_STATES or job.electron in _ENDED_ELECTRON_STATES:
        return Verdict.ORPHAN
    if living:
        return Verdict.AWAITED
    if dead:
        return Verdict.ORPHAN
    return Verdict.UNKNOWN if job.dispatch else Verdict.FOREIGN


def _current_states(connection: Client, job_ids: list[str]) -> dict[str, str]:
    """The states of jobs at this moment, by id."""
    jobs = described(connection, job_ids)
    return {job_id: jobs[job_id].status if job_id in jobs else "VANISHED" for job_id in job_ids}


def terminate(connection: Client, jobs: Iterable[Job]) -> dict[str, str]:
    """Terminate jobs, and go on if one of them fails.

    Returns:
        Why a job could not be terminated, by its id; empty if all were.
    """

    async def end(job: Job) -> None:
        await connection.terminate(job.id, REASON)

    async def end_all() -> list[BaseException | None]:
        return await asyncio.gather(*(end(job) for job in selected), return_exceptions=True)

    selected = list(jobs)
    failures: dict[str, str] = {}
    for job, failure in zip(selected, asyncio.run(end_all()), strict=True):
        if isinstance(failure, errors.AWSBatchError):
            failures[job.id] = failure.message
        elif failure is not None:
            raise failure
    return failures


def report_cancelled(job: Job) -> str:
    """Report a terminated job to Covalent, if its electron is RUNNING there.

    The electron becomes CANCELLED and its dispatch FAILED. Otherwise both would be RUNNING for ever, and `redispatch`
    would wait for ever.

    Returns:
        Why reporting failed; empty if it succeeded or was not necessary.
    """
    if job.electron != "RUNNING":
        return ""
    try:
        # It calls the executor's `receive`, which returns CANCELLED.
        api.end_of_task(job.dispatch_id, job.node_id, {"status": "CANCELLED"})
    except ServerUnreachableError as error:
        return str(error)
    return ""
