"""A cancellation as Covalent asks for it: for a user, or because its server stops."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from covalent._shared_files.exceptions import TaskCancelledError

from covalent_awsbatch_plugin import errors
from covalent_awsbatch_plugin.agreement.naming import JOB_NAME, of_task
from covalent_awsbatch_plugin.options.settings import Settings
from covalent_awsbatch_plugin.server import recovery, shutdown

from . import termination
from .connection import client

_log = logging.getLogger(__name__)


async def cancel(settings: Callable[[], Settings], task_metadata: Mapping[str, Any], job_handle: Any) -> bool:
    """Terminate a task's job, unless the server stops and the job is to go on.

    Args:
        settings: The task's options, whenever they are asked for.
        task_metadata: `dispatch_id` and `node_id`.
        job_handle: The job's id; empty or None if it was not submitted yet.

    Returns:
        Whether AWS took the request.
    """
    task = task_metadata["dispatch_id"], task_metadata["node_id"]
    if not shutdown.is_stopping():
        shutdown.note_cancellation(*task)
    elif termination.is_spared(settings) and shutdown.keep(*task):
        return False
    if not job_handle:
        return False
    try:
        connection, job_id = client(settings()), str(job_handle)
        requested = termination.request(connection, job_id, termination.cancellation(task_metadata))
        return await termination.is_accepted(requested) and await termination.is_known(connection, job_id)
    except errors.AWSBatchError as error:  # an option that cannot work
        _log.warning("Job %s could not be terminated: %s", job_handle, error)
        return False


async def stop_if_asked(
    executor: Any, settings: Callable[[], Settings], task_metadata: dict[str, Any], job_id: str | None
) -> None:
    """End a task that Covalent has asked to cancel meanwhile, with its job if there is one.

    Args:
        executor: The task's executor, which asks Covalent, and cancels in its own way.
        settings: The task's options, whenever they are asked for.
        task_metadata: `dispatch_id` and `node_id`.
        job_id: Its job, if it was submitted. One that cannot be terminated goes on, and so does the watch over it.

    Raises:
        TaskCancelledError: It was cancelled.
    """
    if not await executor.get_cancel_requested() or termination.is_spared(settings):
        return
    if job_id is None or await executor.cancel(task_metadata, job_id):
        raise TaskCancelledError(f"{of_task(JOB_NAME, task_metadata)} was cancelled from Covalent.")


async def unbegun(
    settings: Callable[[], Settings], task_group_metadata: Mapping[str, Any], data: Any
) -> list[dict[str, Any]]:
    """The tasks of a group to report as cancelled. By the same way the server is asked to go on with a dispatch.

    Never raises, since Covalent would have the tasks fail.

    Args:
        settings: The executor's options, whenever they are asked for.
        task_group_metadata: `dispatch_id` and `node_ids`.
        data: What came with the request; None from Covalent itself.

    Returns:
        `dispatch_id` and `node_id` of each.
    """
    dispatch_id, node_ids = task_group_metadata["dispatch_id"], task_group_metadata["node_ids"]
    if await recovery.serve(dispatch_id, node_ids, data):
        return []
    if data is None and termination.is_spared(settings):
        shutdown.spare(dispatch_id, node_ids)
        return []
    return [{"dispatch_id": dispatch_id, "node_id": node_id} for node_id in node_ids]
