"""Explains jobs that were terminated before they ran."""

from __future__ import annotations

import asyncio

from covalent_awsbatch_plugin import errors
from covalent_awsbatch_plugin._core import Client, Job
from covalent_awsbatch_plugin.options.settings import Settings

from . import retrieval

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


async def _queue_problems(client: Client, settings: Settings) -> list[str]:
    """The problems of the queue, if they can be looked up in time."""
    vcpu, has_share = settings.vcpu * settings.nodes, bool(settings.share_identifier)
    looking = client.queue_problems(settings.batch_queue, vcpu, settings.platform, has_share)
    try:
        return await asyncio.wait_for(looking, _DETAIL_TIMEOUT_SECONDS)
    except (errors.AWSBatchError, asyncio.TimeoutError) as error:
        return [f"the queue could not be looked at: {error}"]
