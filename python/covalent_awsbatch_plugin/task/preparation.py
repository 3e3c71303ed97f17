"""What Covalent shows of a task that waits until the environment of its job is made."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from covalent_awsbatch_plugin.environment import progress
from covalent_awsbatch_plugin.server import live

_SECONDS = 2.0
# Covalent stores a stream in some 20 ms of processor time, and thousands may wait for the same environment.
_SHOWN_AT_ONCE = 10

_shown: set[object] = set()


@asynccontextmanager
async def shown(task_metadata: Mapping[str, Any], stderr: Any) -> AsyncIterator[None]:
    """Has Covalent show what the task waits for, if this process is Covalent's server.

    Args:
        task_metadata: `dispatch_id` and `node_id`.
        stderr: The task's error stream, whose content goes before that.
    """
    if not live.is_shown():
        yield
        return
    over = asyncio.get_running_loop().create_future()
    showing = asyncio.create_task(_show(over, task_metadata, stderr))
    try:
        yield
    finally:
        _shown.discard(over)
        over.set_result(None)
        await showing  # what its task ends with must be the last word


async def _show(over: asyncio.Future[None], task_metadata: Mapping[str, Any], stderr: Any) -> None:
    began = time.monotonic()
    while not (await asyncio.wait([over], timeout=_SECONDS))[0]:
        if len(_shown) < _SHOWN_AT_ONCE:
            _shown.add(over)
        if over in _shown and (doing := progress.now()):
            before = stderr.getvalue() if isinstance(stderr, io.StringIO) else ""
            text = f"{before}{live.WAITS}{doing} ({time.monotonic() - began:.0f} s)\n"
            await live.show(task_metadata["dispatch_id"], task_metadata["node_id"], "", text)
