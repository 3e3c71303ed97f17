"""Finds the job of a task that an earlier server had begun, so that it is not submitted a second time."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from covalent_awsbatch_plugin import errors
from covalent_awsbatch_plugin._core import ABANDONED_REASON, Client
from covalent_awsbatch_plugin.agreement.naming import JOB_NAME, of_task
from covalent_awsbatch_plugin.options.settings import Settings
from covalent_awsbatch_plugin.server import handles

from . import resubmission

_log = logging.getLogger(__name__)


class Found(NamedTuple):
    """The job of a task that an earlier server had begun.

    Attributes:
        job_id: Its id; None if there is none.
        queue: Its queue, by the name that the options have for it; empty if it was not looked for.
    """

    job_id: str | None
    queue: str = ""


async def job_of_earlier_server(
    connection: Client, settings: Settings, begun: handles.Begun, task_metadata: Mapping[str, Any]
) -> Found:
    """The job of a task that an earlier server had begun, whether it has ended or not, and however.

    One that failed before its function was called has ended as well: a second one would most likely fail in the same
    way, and its user would read of that later.

    A server that is killed while it submits has not told Covalent the job's id; the job is then found by its name. So
    is one that follows another one of its task (`resubmission`).

    Args:
        connection: Connection to use.
        settings: The task's options.
        begun: What is known of the task.
        task_metadata: `dispatch_id` and `node_id`.

    Returns:
        The job; none if nothing was submitted, or its submission was taken back.

    Raises:
        AWSBatchError: The jobs of the queue could not be listed. Whether there is one is then unknown.
    """
    if begun.job_id and not resubmission.is_possible(settings):
        return Found(begun.job_id)
    name = of_task(JOB_NAME, task_metadata)
    try:
        listed = [(job, queue) for queue in settings.queues for job in await connection.list_jobs(queue, name)]
    except errors.AWSBatchError as error:
        unknown = (
            f"whether another job has followed {begun.job_id}"
            if begun.job_id
            else f"whether job {name} had been submitted before the Covalent server ended"
        )
        message = (
            f"{error.message}; {unknown} cannot be told, and it is not submitted a second time: look for {name} in the "
            "queue, and dispatch the workflow anew"
        )
        raise type(error)(message, **error.details) from error
    jobs = [(job, queue) for job, queue in listed if job["name"] == name and not _was_taken_back(job)]
    if not jobs:
        return Found(begun.job_id or None)
    newest, queue = max(jobs, key=lambda one: one[0]["created_at"] or 0)
    _log.info("Job %s had been submitted as %s: waiting for that one", name, newest["id"])
    return Found(str(newest["id"]), queue)


def _was_taken_back(job: Mapping[str, Any]) -> bool:
    return job["started_at"] is None and job["status_reason"] == ABANDONED_REASON
