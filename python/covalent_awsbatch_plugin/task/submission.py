"""Submitting a job so that none is left of which nobody knows."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Any

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.agreement.naming import JOB_NAME, of_task

from . import termination

_log = logging.getLogger(__name__)


async def submit(connection: Client, request: Mapping[str, Any], task_metadata: Mapping[str, Any]) -> str:
    """Submit a job, once, under a revision of the job definition that is registered only when it is new.

    Args:
        connection: Connection to use.
        request: What `job_request` returned.
        task_metadata: `dispatch_id` and `node_id`.

    Returns:
        The job's id.
    """
    submission = asyncio.ensure_future(connection.submit(json.dumps(request)))
    try:
        job_id = await submission
    except asyncio.CancelledError:
        # The core ends a job whose id nobody took. This one's may have come in the very moment.
        if not submission.cancelled() and submission.exception() is None:
            termination.request(connection, submission.result(), termination.cancellation(task_metadata))
        raise
    _log.info("Submitted %s as job %s", of_task(JOB_NAME, task_metadata), job_id)
    return job_id
