"""Tasks that are run without a Covalent server, and what is awaited of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from lab import Lab
from lab.control import JobView

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor


def executor_of(lab: Lab) -> AWSBatchExecutor:
    return AWSBatchExecutor(**lab.options, poll_freq=1)


async def becomes(condition: Callable[[], Any]) -> None:
    """Waits for what happens in another process; the test's time-out bounds it."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def becomes_by_itself(condition: Callable[[], Any]) -> None:
    """The same, while no loop of asyncio runs."""
    while not condition():
        time.sleep(0.01)


def only_job(lab: Lab, metadata: dict[str, Any]) -> JobView:
    """The job of a task, of which there is exactly one."""
    (job,) = lab.jobs(f"covalent-batch-{metadata['dispatch_id']}-*")
    return job


@asynccontextmanager
async def dispatcher(executor: AWSBatchExecutor, answer: Callable[[Any, Any], Any]) -> AsyncIterator[None]:
    """Answers the executor's questions as Covalent's server does; `...` for no answer."""
    executor._init_runtime(loop=asyncio.get_running_loop())

    async def listen() -> None:
        while True:
            found = answer(*await executor._send_queue.get())
            if found is not ...:
                executor._recv_queue.put_nowait((True, found))

    listening = asyncio.ensure_future(listen())
    try:
        yield
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
