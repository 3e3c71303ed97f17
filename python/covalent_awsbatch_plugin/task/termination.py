"""Ending a job that nobody waits for any more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from covalent_awsbatch_plugin import errors
from covalent_awsbatch_plugin._core import CANCEL_REASON, Client
from covalent_awsbatch_plugin.options.settings import Settings
from covalent_awsbatch_plugin.server import shutdown

_PATIENCE = 30  # seconds that a cancellation waits for AWS's answer; the core goes on asking

_background: set[asyncio.Future[bool]] = set()

_log = logging.getLogger(__name__)


def request(connection: Client, job_id: str, reason: str) -> asyncio.Future[bool]:
    """Ask for the end of a job here and now: the request goes out even if the loop ends with this very step.

    Args:
        connection: Connection to use.
        job_id: The job.
        reason: What AWS Batch shall show as the reason.

    Returns:
        Whether AWS took the request; to be awaited or not.
    """
    ending = connection.terminate(job_id, reason)

    async def taken() -> bool:
        try:
            await ending
        except errors.AWSBatchError as error:
            _log.warning("Job %s could not be terminated: %s", job_id, error)
            return False
        return True

    task = asyncio.ensure_future(taken())
    _background.add(task)  # asyncio itself keeps no hold on it
    task.add_done_callback(_background.discard)
    return asyncio.shield(task)


async def is_accepted(requested: asyncio.Future[bool]) -> bool:
    """Whether AWS took a request, as far as it is known within half a minute.

    Args:
        requested: What `request` returned.
    """
    done, _ = await asyncio.wait([requested], timeout=_PATIENCE)
    return bool(done) and requested.result()


async def is_known(connection: Client, job_id: str) -> bool:
    """Whether AWS Batch has a record of a job, which it takes the request for in any case; True if nobody can tell.

    Args:
        connection: Connection to use.
        job_id: The job.
    """
    try:
        if job_id in await connection.states([job_id]):  # as its task watches it
            return True
        if await asyncio.wait_for(connection.describe(job_id), _PATIENCE) is not None:
            return True
    except (errors.AWSBatchError, asyncio.TimeoutError):
        return True
    _log.warning("AWS Batch knows no job %s: nothing was cancelled", job_id)
    return False


def is_spared(settings: Callable[[], Settings]) -> bool:
    """Whether a job goes on although its task is cancelled: Covalent's server stops, and `on_server_stop` is `keep`.

    Args:
        settings: The task's options, asked for if the server stops.
    """
    try:
        return shutdown.is_stopping() and settings().on_server_stop == "keep"
    except errors.AWSBatchError:  # an option that cannot work
        return False


def cancellation(task_metadata: Mapping[str, Any]) -> str:
    """The reason by which a job is recognised as cancelled from Covalent; one for a dispatch, whose jobs end together.

    Args:
        task_metadata: `dispatch_id` and `node_id`.
    """
    return f"{CANCEL_REASON}: dispatch {task_metadata.get('dispatch_id')}"


def node(task_metadata: Mapping[str, Any]) -> str:
    """The task in a reason.

    Args:
        task_metadata: `dispatch_id` and `node_id`.
    """
    return f"dispatch {task_metadata.get('dispatch_id')}, node {task_metadata.get('node_id')}"
