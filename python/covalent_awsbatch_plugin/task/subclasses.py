"""Calls methods that subclasses of the executor override, in the way of version 0.42.0."""

from __future__ import annotations

import asyncio
import inspect
from functools import partial
from typing import TYPE_CHECKING, Any

from covalent._shared_files.exceptions import TaskCancelledError

from covalent_awsbatch_plugin import errors

from . import threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from covalent_awsbatch_plugin._core import Client

_FINAL_STATES = ("SUCCEEDED", "FAILED", "CANCELLED", "VANISHED")


def overrides(executor: Any, base: type, name: str) -> bool:
    """Whether an executor's class has a method of its own in place of the one of `base`."""
    return getattr(type(executor), name) is not getattr(base, name)


async def caller(validate: Callable[..., Any]) -> Any:
    """The caller's identity.

    Args:
        validate: An executor's `_validate_credentials`: a coroutine, or a plain method, which may block.
    """
    check = partial(validate, raise_exception=True)
    answer = check() if inspect.iscoroutinefunction(validate) else await threads.run(0, check)
    return await answer if inspect.isawaitable(answer) else answer


async def went_well(executor: Any, connection: Client, job_id: str, poll: float) -> bool:
    """Ask an executor's own `get_status` until it says that the job is over, and terminate the job if it goes on.

    Args:
        executor: Whom to ask.
        connection: Connection to use.
        job_id: The job.
        poll: Seconds between two questions.

    Returns:
        Whether it went well; if not, AWS says why.

    Raises:
        TaskCancelledError: `get_status` says so.
        JobFailedError: `get_status` says that the job failed, and AWS does not.
    """
    status, exit_code = await executor.get_status(job_id)
    while status not in _FINAL_STATES:
        await asyncio.sleep(poll)
        status, exit_code = await executor.get_status(job_id)
    if status != "CANCELLED" and (exit_code == 0 or (status == "SUCCEEDED" and exit_code == -1)):
        return True
    job = await connection.describe(job_id)
    if status == "VANISHED" or (status == "FAILED" and job is not None and job.status == "FAILED"):
        return False
    said = f"get_status of {type(executor).__name__} said {status} with exit code {exit_code} of job {job_id}"
    await connection.terminate(job_id, said)
    if status == "CANCELLED":
        raise TaskCancelledError(f"{said}.")
    known = "has no record of it" if job is None else f"said {job.status}"
    raise errors.JobFailedError(f"{said}, of which AWS Batch {known}.", job_id=job_id, exit_code=exit_code)
