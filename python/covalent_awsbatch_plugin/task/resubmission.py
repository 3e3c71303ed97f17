"""The next job of a task, after one that took more memory than it had or lost its machine, or of which a node failed.

AWS Batch tries a job again as it is, in its queue, and never for a node but the main one; what is to be larger or
elsewhere, or to have all of its nodes again, has to be a new job, under the same name. How a job is followed depends on
its options and its record alone: so a server that goes on with a task after another one's end submits what that one
would have, and nothing that it has submitted already.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import signal
from typing import TYPE_CHECKING, Any

from covalent_awsbatch_plugin import environment, errors
from covalent_awsbatch_plugin.options import fargate, limits, placement

from . import nodes, submission

if TYPE_CHECKING:
    from covalent_awsbatch_plugin._core import Client, Job
    from covalent_awsbatch_plugin.options.settings import Settings

    from .guard import TaskGuard

_LOOK_SECONDS = 10.0  # for what only bounds the memory

_log = logging.getLogger(__name__)


async def last_job(executor: Any, guard: TaskGuard, function: Any, task_metadata: dict[str, Any], caller: Any) -> str:
    """Wait for a task's job, and for those that follow it.

    Args:
        executor: The task's executor.
        guard: Has the job, and is told of those that follow.
        function: What Covalent wants to be run, whose packages they have, too; None if none may follow that differs
            from the first.
        task_metadata: `dispatch_id` and `node_id`.
        caller: What `_validate_credentials` returned.

    Returns:
        The id of the job that has succeeded.

    Raises:
        TaskCancelledError: One was terminated because Covalent asked for it.
        JobFailedError: One failed, and none follows it.
    """
    while True:
        job_id = guard.job_id
        assert job_id is not None
        await executor.set_job_handle(handle=job_id)
        # A request that came in between found no handle to terminate the job by.
        await executor._stop_if_cancelled(task_metadata, job_id)  # noqa: SLF001  (a step of its `run`)
        try:
            await executor._poll_task(job_id, task_metadata["dispatch_id"], task_metadata["node_id"])  # noqa: SLF001
        except nodes.TryAgainError as error:
            before = error.details["attempts_before"]
            _log.warning("Job %s is followed by attempt %s of its task: %s", job_id, before + 1, error.message)
            guard.job_id = None
            await executor._stop_if_cancelled(task_metadata)  # noqa: SLF001
            follows = {"attempts_before": before, "previous_job": job_id}
            guard.job_id = await executor.submit_task({**task_metadata, **follows}, caller)
        except errors.JobFailedError as error:
            settings = executor._settings()  # noqa: SLF001
            following = None if function is None else await _following(guard.client, settings, job_id)
            if following is None:
                raise
            print(error.message, file=executor.task_stderr)
            guard.job_id = None  # it has ended: what comes now is about the next one
            await executor._stop_if_cancelled(task_metadata)  # noqa: SLF001
            _tell(executor, following, settings)
            environment.requested.begin(following, guard.client, function)
            guard.queue = following.batch_queue
            follows = {**task_metadata, "previous_job": job_id}
            guard.job_id = await submission.submit_task(following, follows, executor)
        else:
            return job_id


def is_wanted(settings: Settings) -> bool:
    """Whether a task may have a job after its first that differs from it.

    Args:
        settings: The task's options.
    """
    return settings.retry_memory_factor > 1 or bool(settings.retry_queues)


def is_possible(settings: Settings) -> bool:
    """Whether a task may have a job after its first at all.

    Args:
        settings: The task's options.
    """
    return is_wanted(settings) or (settings.nodes > 1 and settings.retry_attempts > 1)


def as_submitted(settings: Settings, job: Job) -> Settings:
    """The options as a job of the task has them: its memory, its queue and those after it, and its attempts.

    Args:
        settings: The task's options.
        job: One of its jobs.
    """
    if not is_wanted(settings):
        return settings
    own: dict[str, Any] = {}
    names = [queue.rpartition("/")[2] for queue in settings.queues]
    if (name := job.queue.rpartition("/")[2]) in names:
        place = names.index(name)
        own |= {"batch_queue": settings.queues[place], "retry_queues": list(settings.queues[place + 1 :])}
    if job.memory_mib:
        own["memory"] = job.memory_mib / 1024
    if job.allowed_attempts:
        own["retry_attempts"] = job.allowed_attempts
    return settings.model_copy(update=own)


async def _following(connection: Client, settings: Settings, job_id: str) -> Settings | None:
    """The options of the job that follows one that has failed; None if none does."""
    try:
        job = await connection.describe(job_id) if is_wanted(settings) else None
    except errors.AWSBatchError as error:
        _log.warning("Whether job %s is to be followed by another one cannot be told: %s", job_id, error)
        return None
    if job is None:
        return None
    own = as_submitted(settings, job)
    left = own.retry_attempts - max(job.attempts, 1)
    if left < 1:
        return None
    if is_out_of_memory(job) and settings.retry_memory_factor > 1:
        memory = await _more_memory(connection, own)
        return own.model_copy(update={"memory": memory, "retry_attempts": left}) if memory > own.memory else None
    if job.cause == "host_lost" and own.retry_queues:
        _, queue, *others = own.queues
        return own.model_copy(update={"batch_queue": queue, "retry_queues": others, "retry_attempts": left})
    return None


def is_out_of_memory(job: Job) -> bool:
    """Whether a job was killed for want of memory: by what AWS says, or most likely, where a process got SIGKILL.

    Args:
        job: A job that failed.
    """
    return job.cause == "out_of_memory" or (job.cause == "exited" and job.exit_code == 128 + signal.SIGKILL)


async def _more_memory(connection: Client, settings: Settings) -> float:
    """GB of the next job, as far as its queue is known to hold it; as many as now if there are no more."""
    wanted = settings.memory * settings.retry_memory_factor
    if settings.platform == "FARGATE":
        largest = fargate.MEMORY[settings.vcpu][-1] / 1024
        return fargate.memory(settings.vcpu, min(wanted, largest)) / 1024
    wanted = min(wanted, limits.TOO_MUCH_MEMORY - 1 / 1024)
    larger = settings.model_copy(update={"memory": wanted})
    found = min(wanted, placement.largest_memory(larger, await _environments(connection, settings)))
    return math.floor(found * 1024) / 1024  # Batch takes whole MiB


async def _environments(connection: Client, settings: Settings) -> list[dict[str, Any]]:
    """What is known of the compute environments of the queue; nothing where AWS does not tell in time."""
    inspector = connection.inspector()

    async def look() -> list[dict[str, Any]]:
        queue = json.loads(await inspector.queue(settings.batch_queue)) or {}
        arns = queue.get("environments")
        return list(json.loads(await inspector.environments(arns))) if arns else []

    try:
        return await asyncio.wait_for(look(), _LOOK_SECONDS)
    except (errors.AWSBatchError, asyncio.TimeoutError) as error:
        _log.info("How much memory queue %s has is not known: %s", settings.batch_queue, error)
        return []


def _tell(executor: Any, following: Settings, settings: Settings) -> None:
    left = f"{following.retry_attempts} of {settings.retry_attempts} attempts left"
    line = f"Tried again with {following.memory_mib / 1024:g} GB in queue {following.batch_queue}: {left}."
    _log.info("%s", line)
    print(line, file=executor.task_stderr)
