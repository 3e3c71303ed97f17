"""Submitting a job so that none is left of which nobody knows."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.agreement.naming import JOB_NAME, of_task
from covalent_awsbatch_plugin.options.settings import Settings

from . import termination

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
