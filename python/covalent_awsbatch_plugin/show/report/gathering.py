"""Gathers what Covalent's database, AWS Batch and the bucket know of a dispatch, for its report."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from covalent_awsbatch_plugin._core import Client, Job
from covalent_awsbatch_plugin.agreement.naming import RESULT_FILENAME, USAGE_METADATA, of_task
from covalent_awsbatch_plugin.errors import AWSBatchError
from covalent_awsbatch_plugin.options.settings import Settings
from covalent_awsbatch_plugin.printable import one_line, printable
from covalent_awsbatch_plugin.show import named
from covalent_awsbatch_plugin.show.named import Named, Task
from covalent_awsbatch_plugin.show.reading import Followed, Reader
from covalent_awsbatch_plugin.task.connection import client, identity
from covalent_awsbatch_plugin.task.resubmission import is_out_of_memory

from .work import Asked, Attempt, Run, Submitted, Usage, Work, usage_of


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
    found = named.find(word, connection, settings.queues)
    found = Named(found.dispatch_id, None, found.family, found.jobs, found.problem)
    tasks, problems = named.tasks_that_are_known(found, connection, settings.queues)
    tasks = [task for task in tasks if task.job_id or not task.electron.name.startswith(":")]
    reader = Reader(connection, settings.batch_job_log_group_name)
    reader.follow(tasks)
    usages: Mapping[str, Usage] = {}
    try:
        asyncio.run(reader.describe())
        usages = asyncio.run(_usages(settings, tasks))
    except AWSBatchError as error:
        problems.append(error.message)
    works = tuple(_work(task, reader.jobs_of(task.job_id), usages.get(_key(task), Usage()), settings) for task in tasks)
    gone = sum(job.status == "VANISHED" for work in works for job in work.jobs)
    if gone:
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


def _work(task: Task, jobs: Sequence[Followed], usage: Usage, settings: Settings) -> Work:
    """An electron with its jobs, oldest first."""
    if usage.attempt is not None and jobs:
        usage = replace(usage, attempt=usage.attempt + jobs[-1].attempts_before)
    return Work(task, tuple(_submitted(one, settings) for one in jobs), usage)


def _submitted(one: Followed, settings: Settings) -> Submitted:
    job = one.job
    if job is None:
        return Submitted(one.task.job_id, "" if one.is_known else one.status)
    asked = Asked(job.vcpus or 0.0, job.memory_mib or 0.0, job.gpus or 0.0, job.is_fargate, max(1, job.nodes))
    return Submitted(
        job.id,
        one.status,
        job.queue.rpartition("/")[2],
        asked,
        job.status == "FAILED" and is_out_of_memory(job),
        tuple(_attempts(job, one.attempts_before)),
        # The embedded AWS has no console.
        None if settings.endpoint_url else job.console,
    )


def _attempts(job: Job, before: int) -> Iterable[Attempt]:
    queued_at = _seconds(job.created_at)
    for number, one in enumerate(job.ended_attempts, before + 1):
        started_at, stopped_at = _seconds(one["started_at"]), _seconds(one["stopped_at"])
        yield Attempt(number, queued_at, started_at, stopped_at, one["exit_code"], one_line(one["reason"] or ""))
        queued_at = stopped_at or queued_at
    if job.status not in ("SUCCEEDED", "FAILED") or not job.ended_attempts:
        started_at = _seconds(job.started_at) if job.status in ("RUNNING", "SUCCEEDED", "FAILED") else None
        code, reason = job.exit_code, one_line(job.status_reason or "")
        number = before + len(job.ended_attempts) + 1
        yield Attempt(number, queued_at, started_at, _seconds(job.stopped_at), code, reason)


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
