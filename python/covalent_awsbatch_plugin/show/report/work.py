"""What is known of the electrons of a dispatch and of the attempts of their jobs."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from covalent_awsbatch_plugin._core import Client, Job
from covalent_awsbatch_plugin.agreement.naming import RESULT_FILENAME, USAGE_METADATA, of_task
from covalent_awsbatch_plugin.errors import AWSBatchError
from covalent_awsbatch_plugin.options.settings import Settings
from covalent_awsbatch_plugin.printable import one_line, printable
from covalent_awsbatch_plugin.show import named
from covalent_awsbatch_plugin.show.named import Named, Task
from covalent_awsbatch_plugin.show.reading import Reader
from covalent_awsbatch_plugin.task.connection import client, identity

MIB = 1024 * 1024


@dataclass(frozen=True)
class Usage:
    """What an attempt left word of.

    Attributes:
        attempt: Which one, from 1; None if it did not know.
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
        number: From 1.
        queued_at: When the job was submitted, or the attempt before had ended.
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
class Work:
    """An electron with its job.

    Attributes:
        task: The electron.
        asked: What its job asked for; None if it has none, or AWS Batch has no record of it any more.
        was_killed: Whether its job was killed for its memory.
        attempts: The attempts of the job, oldest first.
        usage: What one of them left word of.
        console: The job's page in AWS's console; None where there is none.
    """

    task: Task
    asked: Asked | None = None
    was_killed: bool = False
    attempts: tuple[Attempt, ...] = ()
    usage: Usage = Usage()
    console: str | None = None

    @property
    def label(self) -> str:
        """How it is called."""
        return one_line(self.task.label)


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


def gathered(word: str, settings: Settings) -> Run:
    """Gather what Covalent's database, AWS Batch and the bucket know of a dispatch.

    Args:
        word: Id of a dispatch or a job, or its beginning.
        settings: Whose queue, bucket, account and region count.

    Raises:
        UnknownError: Nothing has that name, or several have.
        AWSBatchError: Neither Covalent's database nor AWS answers.
    """
    connection = client(settings, interactive=True)
    found = named.find(word, connection, settings.batch_queue)
    found = Named(found.dispatch_id, None, found.family, found.jobs, found.problem)
    problems = [f"Only what AWS tells is known: {found.problem}."] if found.problem else []
    try:
        tasks = named.tasks(found, connection, settings.batch_queue)
    except AWSBatchError as error:
        problems.append(error.message)
        tasks = named.known_tasks(found)
    tasks = [task for task in tasks if task.job_id or not task.electron.name.startswith(":")]
    reader = Reader(connection, settings.batch_job_log_group_name)
    reader.follow(tasks)
    usages: Mapping[str, Usage] = {}
    try:
        asyncio.run(reader.describe())
        usages = asyncio.run(_usages(settings, tasks))
    except AWSBatchError as error:
        problems.append(error.message)
    jobs = {one.task.job_id: one.job for one in reader.jobs}
    works = tuple(_work(task, jobs.get(task.job_id), usages.get(_key(task), Usage()), settings) for task in tasks)
    gone = sum(work.asked is None for work in works if work.task.job_id)
    if gone and not problems:
        problems.append(f"AWS Batch has no record of {named.count(gone, 'job')} any more: it keeps them for some days.")
    return Run(found, works, tuple(map(printable, problems)))


def _key(task: Task) -> str:
    electron = task.electron
    return of_task(RESULT_FILENAME, {"dispatch_id": electron.dispatch_id, "node_id": electron.node_id})


async def _usages(settings: Settings, tasks: Iterable[Task]) -> dict[str, Usage]:
    """What jobs left word of, by the keys of their results."""
    keys = [_key(task) for task in tasks if task.job_id]
    if not keys:
        return {}
    await identity(settings)
    connection: Client = client(settings)
    found = await connection.metadata(settings.s3_bucket_name, keys)
    return {key: usage_of(metadata.get(USAGE_METADATA, "")) for key, metadata in found.items()}


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


def _work(task: Task, job: Job | None, usage: Usage, settings: Settings) -> Work:
    if job is None:
        return Work(task, usage=usage)
    return Work(
        task,
        Asked(job.vcpus or 0.0, job.memory_mib or 0.0, job.gpus or 0.0, job.is_fargate, max(1, job.nodes)),
        job.status == "FAILED" and job.cause == "out_of_memory",
        tuple(_attempts(job)),
        usage,
        # The embedded AWS has no console.
        None if settings.endpoint_url else job.console,
    )


def _attempts(job: Job) -> Iterable[Attempt]:
    queued_at = _seconds(job.created_at)
    for number, one in enumerate(job.ended_attempts, 1):
        started_at, stopped_at = _seconds(one["started_at"]), _seconds(one["stopped_at"])
        yield Attempt(number, queued_at, started_at, stopped_at, one["exit_code"], one_line(one["reason"] or ""))
        queued_at = stopped_at or queued_at
    if job.status not in ("SUCCEEDED", "FAILED") or not job.ended_attempts:
        started_at = _seconds(job.started_at) if job.status in ("RUNNING", "SUCCEEDED", "FAILED") else None
        code, reason = job.exit_code, one_line(job.status_reason or "")
        yield Attempt(len(job.ended_attempts) + 1, queued_at, started_at, _seconds(job.stopped_at), code, reason)


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
