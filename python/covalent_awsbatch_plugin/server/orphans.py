"""The executor's jobs in a queue, who waits for them, and the end of those that nobody waits for.

A job outlives a Covalent server that was killed, and goes on costing. Whether somebody still waits for one is told by
two witnesses: the Covalent server, which knows whether dispatch and electron are under way, but says RUNNING also of
those that it lost when it was killed; and the notes of `presence`, which tell a living server from one that is gone.
A job is an orphan only if they leave no doubt: other Covalent servers may share the queue, and their jobs look alike.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from covalent_awsbatch_plugin import errors
from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.agreement.naming import JOB_NAME

from . import presence

REASON = "Terminated as an orphan by covalent-awsbatch jobs"

_PREFIX = JOB_NAME.partition("{")[0]
_NAME = re.compile(re.escape(_PREFIX) + r"(?P<dispatch>.+?)-(?P<node>-?\d+)")

_JOB_ENDED = {"SUCCEEDED", "FAILED", "VANISHED"}
_DISPATCH_ENDED = {"COMPLETED", "FAILED", "CANCELLED"}
# An electron that builds a sublattice is DISPATCHING once its job is over.
_ELECTRON_ENDED = _DISPATCH_ENDED | {"DISPATCHING"}

_IDS_PER_REQUEST = 100
_TIMEOUT = 30.0
"""Seconds for an answer of the Covalent server."""


class Verdict(str, enum.Enum):
    """Who waits for a job."""

    ENDED = "ended"
    """It is over."""
    AWAITED = "awaited"
    """A server that lives waits for it."""
    ORPHAN = "orphan"
    """Nobody waits for it."""
    FOREIGN = "foreign"
    """Nothing here knows its dispatch: most likely another Covalent server shares the queue."""
    UNKNOWN = "unknown"
    """It is this server's, but whether anybody waits for it cannot be told from here."""


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
    """What a Covalent server has on record.

    Attributes:
        dispatches: Status of each dispatch that was asked for and that it knows.
        electrons: Status of each node, of the dispatches that are under way.
    """

    dispatches: Mapping[str, str]
    electrons: Mapping[tuple[str, int], str]


@dataclass(frozen=True)
class Survey:
    """The executor's jobs of a queue, and who waits for them.

    Attributes:
        jobs: The jobs, oldest first.
        problem: Why the Covalent server could not be asked; empty if it was.
    """

    jobs: list[Job]
    problem: str = ""


class ServerSilentError(Exception):
    """The Covalent server cannot be asked."""


def survey(connection: Client, queue: str) -> Survey:
    """List the executor's jobs of a queue and tell who waits for them.

    Args:
        connection: Client of the queue's account and region.
        queue: Name or ARN.

    Raises:
        AWSBatchError: AWS did not answer.
    """
    # Jobs first, and then the witnesses: a job that is listed was noted and on record before.
    jobs = listed(connection, queue)
    try:
        known, problem = records(job.dispatch_id for job in jobs if is_live(job)), ""
    except ServerSilentError as error:
        known, problem = None, str(error)
    jobs = judged(jobs, known, presence.waiting())
    # An electron ends after its job. So a job that was still listed as live may be over, and no orphan at all.
    now = _states(connection, [job.id for job in jobs if job.verdict is Verdict.ORPHAN])
    jobs = [replace(job, status=now.get(job.id, job.status)) for job in jobs]
    return Survey([job if is_live(job) else replace(job, verdict=Verdict.ENDED) for job in jobs], problem)


def listed(connection: Client, queue: str) -> list[Job]:
    """List the executor's jobs of a queue, in whatever state, oldest first; nothing is judged yet.

    Args:
        connection: Client of the queue's account and region.
        queue: Name or ARN.

    Raises:
        AWSBatchError: AWS did not answer.
    """

    async def ask() -> list[dict[str, Any]]:
        return await connection.list_jobs(queue, _PREFIX)

    jobs = []
    for job in asyncio.run(ask()):
        if name := _NAME.fullmatch(job["name"]):
            dispatch_id, node_id = name["dispatch"], int(name["node"])
            created = job["created_at"] or 0
            jobs.append(Job(job["id"], job["name"], job["status"], created, dispatch_id, node_id))
    return sorted(jobs, key=lambda job: job.created_at)


def is_live(job: Job) -> bool:
    """Whether a job has not ended yet."""
    return job.status not in _JOB_ENDED


def records(dispatch_ids: Iterable[str]) -> Records:
    """Ask the Covalent server of the configuration for dispatches and their electrons.

    Args:
        dispatch_ids: The dispatches.

    Raises:
        ServerSilentError: It does not answer, or not as a Covalent server does; the message says which one and why.
    """
    url = server_url()
    try:
        return _records(url, sorted(set(dispatch_ids)))
    except (ValueError, LookupError, TypeError) as error:  # no JSON, or not Covalent's
        raise ServerSilentError(f"what answers at {url} is no Covalent server") from error
    except OSError as error:  # the base of what `requests` raises
        raise ServerSilentError(f"the Covalent server at {url} cannot be asked: {_why(error)}") from error


def _records(url: str, ids: list[str]) -> Records:
    dispatches: dict[str, str] = {}
    electrons: dict[tuple[str, int], str] = {}
    for start in range(0, len(ids), _IDS_PER_REQUEST):
        asked = ids[start : start + _IDS_PER_REQUEST]
        query = {"dispatch_id": asked, "count": len(asked), "status_only": True}
        for dispatch in _get(url, "/api/v2/dispatches", query)["dispatches"]:
            dispatches[dispatch["dispatch_id"]] = dispatch["status"]
    for dispatch_id, status in dispatches.items():
        if status not in _DISPATCH_ENDED:
            manifest = _get(url, f"/api/v2/dispatches/{dispatch_id}", {})
            for node in manifest["lattice"]["transport_graph"]["nodes"]:
                electrons[dispatch_id, node["id"]] = node["metadata"]["status"]
    return Records(dispatches, electrons)


def judged(jobs: Iterable[Job], known: Records | None, waiting: presence.Waiting) -> list[Job]:
    """Tell of each job who waits for it.

    Args:
        jobs: The jobs.
        known: What the Covalent server has on record; None if it could not be asked.
        waiting: What the processes of this home have noted.
    """
    return [_judged(job, known, waiting) for job in jobs]


def _judged(job: Job, known: Records | None, waiting: presence.Waiting) -> Job:
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
    if job.dispatch in _DISPATCH_ENDED or job.electron in _ELECTRON_ENDED:
        return Verdict.ORPHAN
    if living:
        return Verdict.AWAITED
    if dead:
        return Verdict.ORPHAN
    return Verdict.UNKNOWN if job.dispatch else Verdict.FOREIGN


def _states(connection: Client, job_ids: list[str]) -> dict[str, str]:
    """The states of jobs at this moment, by id."""

    async def look() -> list[Any]:
        return await asyncio.gather(*(connection.describe(job_id) for job_id in job_ids))

    jobs = asyncio.run(look()) if job_ids else []
    return {job_id: job.status if job else "VANISHED" for job_id, job in zip(job_ids, jobs, strict=True)}


def terminated(connection: Client, jobs: Iterable[Job]) -> dict[str, str]:
    """End jobs, all of them even if one cannot be ended.

    Returns:
        Why a job could not be ended, by its id; empty when all went well.
    """

    async def end(job: Job) -> None:
        await connection.terminate(job.id, REASON)

    async def end_all() -> list[BaseException | None]:
        return await asyncio.gather(*(end(job) for job in doomed), return_exceptions=True)

    doomed = list(jobs)
    failures: dict[str, str] = {}
    for job, failure in zip(doomed, asyncio.run(end_all()), strict=True):
        if isinstance(failure, errors.AWSBatchError):
            failures[job.id] = failure.message
        elif failure is not None:
            raise failure
    return failures


def given_up(job: Job) -> str:
    """Tell Covalent of a job that was ended although it believes that the electron is RUNNING.

    The electron is then CANCELLED and its dispatch FAILED. Otherwise both would be RUNNING for ever, and `redispatch`
    would wait as long.

    Returns:
        Why Covalent could not be told; empty when it was, or need not be.
    """
    if job.electron != "RUNNING":
        return ""
    url = server_url()
    try:
        # Covalent's way of saying that a task is over: it asks the executor's `receive` how, and that says CANCELLED.
        path = f"/api/v2/dispatches/{job.dispatch_id}/electrons/{job.node_id}/job"
        _request(url, "put", path, json={"status": "CANCELLED"})
    except OSError as error:
        return f"the Covalent server at {url} could not be told: {_why(error)}"
    return ""


def server_url() -> str:
    """Where the Covalent server of the configuration is."""
    from covalent._shared_files.utils import format_server_url

    return str(format_server_url())


def _get(url: str, path: str, query: Mapping[str, Any]) -> Any:
    return _request(url, "get", path, params=query).json()


def _why(error: OSError) -> str:
    """What `requests` says, without the address: that may name a hundred dispatches."""
    reason = getattr(error.args[0] if error.args else None, "reason", error)
    return str(reason).partition(" for url")[0]


def _request(url: str, method: str, path: str, **arguments: Any) -> Any:
    from covalent._api.apiclient import CovalentAPIClient

    # It prints what it raises.
    with contextlib.redirect_stdout(io.StringIO()):
        return getattr(CovalentAPIClient(url), method)(path, timeout=_TIMEOUT, **arguments)
