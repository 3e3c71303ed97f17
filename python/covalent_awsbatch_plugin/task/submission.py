"""Submitting a job so that none is left of which nobody knows."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from covalent_awsbatch_plugin import environment
from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.agreement.naming import JOB_NAME, of_task
from covalent_awsbatch_plugin.options.settings import Settings

from . import preparation, termination
from .connection import client, identity
from .job_request import job_request

_log = logging.getLogger(__name__)


async def submit(
    connection: Client,
    request: Mapping[str, Any],
    task_metadata: Mapping[str, Any],
    settings: Callable[[], Settings],
) -> str:
    """Submit a job, once, under a revision of the job definition that is registered only when it is new.

    Args:
        connection: Connection to use.
        request: What `job_request` returned.
        task_metadata: `dispatch_id` and `node_id`.
        settings: The task's options, asked for if the server stops.

    Returns:
        The job's id.
    """
    submission = asyncio.ensure_future(connection.submit(json.dumps(request)))
    try:
        job_id = await asyncio.shield(submission)
    except asyncio.CancelledError:
        if termination.is_spared(settings):
            # However late AWS answers: a server that goes on with the task finds the job by its name.
            connection.spare(of_task(JOB_NAME, task_metadata))
            submission.cancel()
        elif not submission.done():
            submission.cancel()
        elif not submission.cancelled() and submission.exception() is None:
            # The id came in the very moment.
            termination.request(connection, submission.result(), termination.cancellation(task_metadata))
        raise
    _log.info("Submitted %s as job %s", of_task(JOB_NAME, task_metadata), job_id)
    return job_id


async def submit_task(settings: Settings, task_metadata: Mapping[str, Any], executor: Any) -> str:
    """Submit a job of a task, with what it needs in its environment.

    Args:
        settings: The options of this job.
        task_metadata: `dispatch_id` and `node_id`; of a job that follows another one also that one's id as
            `previous_job`, and `attempts_before`, if the task's jobs have several nodes.
        executor: The task's executor, on whose error stream it says what it waited for.

    Returns:
        The job's id.
    """
    # The container may not be able to ask who owns the job.
    owner = settings.s3_bucket_owner or (await identity(settings))["Account"]
    account = "" if owner == "any" else owner
    connection = client(settings)
    async with preparation.shown(task_metadata, executor.task_stderr):
        needed = await environment.prepare.environment(settings, connection, executor.task_stderr)
        needed = await environment.requested.complete(needed, settings, connection, executor.task_stderr)
    place = task_metadata["dispatch_id"], task_metadata["node_id"]
    follows = {name: task_metadata[name] for name in ("attempts_before", "previous_job") if name in task_metadata}
    request = job_request(settings, *place, account, needed, **follows)
    return await submit(connection, request, task_metadata, executor._settings)  # noqa: SLF001
