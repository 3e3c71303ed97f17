"""`doctor --run`: runs one tiny job with the executor itself, and follows its states."""

from __future__ import annotations

import asyncio
import io
import platform
import time
import uuid
from collections.abc import Callable
from typing import Any

from covalent._shared_files.exceptions import TaskCancelledError
from covalent._workflow.transport import TransportableObject
from covalent.executor.utils.wrappers import wrapper_fn

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.errors import AWSBatchError
from covalent_awsbatch_plugin.options.settings import Settings
from covalent_awsbatch_plugin.task.connection import client

from .checks.base import Check, State

_POLL_SECONDS = 1.0
_RUNNABLE_TIMEOUT_SECONDS = 900.0
"""Seconds without a machine after which the trial gives up; a cold environment needs a few minutes."""

_NAME = "run"


class _Trial(AWSBatchExecutor):
    """The executor without a Covalent server: it stores the job's handle and is never cancelled."""

    handle: asyncio.Future[str]

    async def set_job_handle(self, handle: Any) -> None:
        self.handle.set_result(str(handle))

    async def get_cancel_requested(self) -> bool:
        return False


async def run(settings: Settings, log: Callable[[str], None]) -> Check:
    """Submit a trivial job, follow its states, and fetch its result.

    Args:
        settings: The executor's; retries and clean-up are the trial's own.
        log: Called with a line for each state as soon as it is seen.
    """
    overrides = {
        "retry_attempts": 1,
        "s3_cleanup": "always",
        "runnable_timeout": settings.runnable_timeout or _RUNNABLE_TIMEOUT_SECONDS,
    }
    executor = _Trial(**{**settings.model_dump(), **overrides})
    executor.handle = asyncio.get_running_loop().create_future()
    # Covalent sets these for each task. The error contains what is printed there.
    executor._task_stdout, executor._task_stderr = io.StringIO(), io.StringIO()  # noqa: SLF001
    start = time.monotonic()
    seconds: dict[str, float] = {}

    def on_state(state: str) -> None:
        if state not in seconds:
            seconds[state] = round(time.monotonic() - start, 1)
            log(f"{seconds[state]:6.1f} s  {state}")

    # Both are pickled by name: Covalent's wrapper, as for any task, and a function of the standard library.
    call = [TransportableObject(platform.python_version), [], []]
    metadata = {"dispatch_id": f"doctor-{uuid.uuid4()}", "node_id": 0}
    watch = asyncio.ensure_future(_follow(settings, executor.handle, on_state))
    try:
        result = await executor.run(wrapper_fn, call, {}, metadata)
    except (AWSBatchError, TaskCancelledError) as error:
        fix = "the message says what to do; if it does not, look at the checks above"
        return Check(_NAME, State.FAILED, str(error), fix, seconds)
    finally:
        watch.cancel()
    on_state("SUCCEEDED")  # which may have been missed between two polls
    on_state("result")
    version = result.get_deserialized()
    path = ", ".join(f"{state} after {second:g} s" for state, second in seconds.items())
    path += await _times(settings, executor.handle.result())
    own_version = platform.python_version()
    if version.rpartition(".")[0] != own_version.rpartition(".")[0]:
        fix = f"use an image with Python {own_version.rpartition('.')[0]} (container_image_uri), or that Python here"
        return Check(_NAME, State.FAILED, f"the job ran on Python {version}, and here is {own_version}", fix, seconds)
    return Check(_NAME, State.PASSED, f"Python {version} answered: {path}", seconds=seconds)


async def _times(settings: Settings, job_id: str) -> str:
    """How long the job waited and ran by Batch's own times, which polling only approximates."""
    try:
        job = await client(settings).describe(job_id)
    except AWSBatchError:
        return ""
    if job is None or not (job.created_at and job.started_at and job.stopped_at):
        return ""
    waited, ran = (job.started_at - job.created_at) / 1000, (job.stopped_at - job.started_at) / 1000
    return f"; by Batch's clock it waited {waited:.1f} s for its machine and ran {ran:.1f} s"


async def _follow(settings: Settings, handle: asyncio.Future[str], on_state: Callable[[str], None]) -> None:
    job_id = await handle
    on_state("SUBMITTED")
    while True:
        try:
            job = await client(settings).describe(job_id)
        except AWSBatchError:
            job = None  # the executor waits for the same job and reports the error
        if job is not None:
            on_state(job.status)
        await asyncio.sleep(_POLL_SECONDS)
