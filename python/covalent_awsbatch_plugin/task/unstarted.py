"""Why a job was given up that did not come to run."""

from __future__ import annotations

import asyncio

from covalent_awsbatch_plugin import errors
from covalent_awsbatch_plugin._core import Client, Job
from covalent_awsbatch_plugin.options.settings import Settings

from . import retrieval

_PATIENCE = 10.0  # seconds that an explanation waits for what would only make it better


async def never_started(client: Client, settings: Settings, job: Job) -> errors.JobFailedError:
    """Explain why a job was given up that had waited for a machine for too long.

    Args:
        client: Connection to use.
        settings: The task's options.
        job: The job, still RUNNABLE when it was looked at.

    Returns:
        The error to raise; its message says what is wrong with queue and compute environments, if AWS tells.
    """
    reasons = [f"AWS Batch says: {job.status_reason}"] if job.status_reason else []
    reasons += await _problems(client, settings)
    asked = f"{settings.vcpu:g} vCPUs, {settings.memory:g} GB and {settings.num_gpus} GPUs"
    message = (
        f"Job {job.id} was terminated because no machine was found for it within runnable_timeout="
        f"{settings.runnable_timeout:g} s. It asks for {asked}. {'; '.join(reasons) or 'AWS Batch gives no reason'}."
    )
    return errors.JobFailedError(message, **{**retrieval.details(job), "cause": "never_started"})


async def stuck(client: Client, settings: Settings, job: Job) -> errors.JobFailedError:
    """Explain why a job was given up that had stayed SUBMITTED, PENDING or STARTING.

    Args:
        client: Connection to use.
        settings: The task's options.
        job: The job as it was when it was given up.

    Returns:
        The error to raise; its message says what that state means, what to do, and what is wrong with queue and compute
        environments, if AWS tells.
    """
    message = job.sentence(settings.memory_mib / 1024, settings.time_limit, settings.platform == "FARGATE")
    # Of what became of a machine that was found, the queue says nothing.
    if job.status != "STARTING" and (problems := await _problems(client, settings)):
        message += f" Of the queue is known: {'; '.join(problems)}."
    return errors.JobFailedError(message + retrieval.console(settings, job), **retrieval.details(job))


async def _problems(client: Client, settings: Settings) -> list[str]:
    """What keeps the queue from running jobs, as far as can be learnt in time."""
    looking = client.queue_problems(settings.batch_queue, settings.vcpu, settings.platform == "FARGATE")
    try:
        return await asyncio.wait_for(looking, _PATIENCE)
    except (errors.AWSBatchError, asyncio.TimeoutError) as error:
        return [f"the queue could not be looked at: {error}"]
