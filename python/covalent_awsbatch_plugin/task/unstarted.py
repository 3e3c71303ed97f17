"""Explains jobs that were terminated before they ran, and nodes without which their job was."""

from __future__ import annotations

import asyncio

from covalent_awsbatch_plugin import errors
from covalent_awsbatch_plugin._core import Client, Job
from covalent_awsbatch_plugin.options.settings import Settings

from . import retrieval

_MAX_REASON_CHARS = 250  # of each of the reasons in that of a termination
_DETAIL_TIMEOUT_SECONDS = 10.0  # for details that only improve an explanation


async def never_started(client: Client, settings: Settings, job: Job) -> errors.JobFailedError:
    """Explain a job that waited for a machine for too long.

    Args:
        client: Connection to use.
        settings: The task's options.
        job: The job, still RUNNABLE when it was looked at.

    Returns:
        The error to raise; its message names problems of the queue and its compute environments, if any are found.
    """
    reasons = [f"AWS Batch says: {job.status_reason}"] if job.status_reason else []
    reasons += await _queue_problems(client, settings)
    asked = f"{settings.vcpu:g} vCPUs, {settings.memory:g} GB and {settings.num_gpus} GPUs"
    asked += f" on each of {settings.nodes} nodes at the same time" * (settings.nodes > 1)
    message = (
        f"Job {job.id} was terminated because no machine was found for it within runnable_timeout="
        f"{settings.runnable_timeout:g} s. It asks for {asked}. {'; '.join(reasons) or 'AWS Batch gives no reason'}."
    )
    return errors.JobFailedError(message, **{**retrieval.details(job), "cause": "never_started"})


async def stuck(client: Client, settings: Settings, job: Job) -> errors.JobFailedError:
    """Explain a job that was stuck SUBMITTED, PENDING or STARTING.

    Args:
        client: Connection to use.
        settings: The task's options.
        job: The job as it was when it was given up.

    Returns:
        The error to raise; its message says what that state means, what to do, and what is wrong with queue and compute
        environments, if AWS tells.
    """
    message = job.sentence(settings.memory_mib / 1024, settings.time_limit)
    # A machine was found for a job that is STARTING, so the queue does not explain it.
    if job.status != "STARTING" and (problems := await _queue_problems(client, settings)):
        message += f" Of the queue is known: {'; '.join(problems)}."
    return errors.JobFailedError(message + retrieval.console(settings, job), **retrieval.details(job))


def node(settings: Settings, waiting: Job) -> str:
    """Explain a node that has not begun to run for too long while its job runs.

    Args:
        settings: The task's options.
        waiting: The node as it was when it was given up.

    Returns:
        A sentence of less than the 1,024 characters of a termination's reason: in which state it is, and why if AWS
        Batch tells.
    """
    state = waiting.status
    if state in ("SUCCEEDED", "FAILED"):
        state = "shown as it ended in the attempt before"
    reasons = [reason for reason in (waiting.status_reason, waiting.container_reason) if reason]
    said = "; ".join(reason.rstrip(" .")[:_MAX_REASON_CHARS] for reason in reasons)
    meaning = waiting.meaning or waiting.state_meaning
    why = (f"AWS Batch says: {said}" if said else "AWS Batch gives no reason") + (f": {meaning}." if meaning else ".")
    limit = f"runnable_timeout={settings.runnable_timeout:g} s"
    return f"it was still {state} when {limit} had passed since its job began. {why}"


def node_of_ended_job(exception: str) -> str:
    """Explain a node that had not begun to run when its job ended because of that.

    Args:
        exception: Name of the exception by which the main node ended the job.

    Returns:
        A sentence.
    """
    return (
        f"it had not begun when the main node ended with {exception}. AWS Batch starts the main node first, and the "
        "others when there are machines for them: `runnable_timeout` is the time that they are given."
    )


async def _queue_problems(client: Client, settings: Settings) -> list[str]:
    """The problems of the queue, if they can be looked up in time."""
    vcpu, has_share = settings.vcpu * settings.nodes, bool(settings.share_identifier)
    looking = client.queue_problems(settings.batch_queue, vcpu, settings.platform, has_share)
    try:
        return await asyncio.wait_for(looking, _DETAIL_TIMEOUT_SECONDS)
    except (errors.AWSBatchError, asyncio.TimeoutError) as error:
        return [f"the queue could not be looked at: {error}"]
