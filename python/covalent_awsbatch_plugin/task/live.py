"""State and output of jobs that run, as Covalent shows them before the end.

One background task for all jobs of a connection looks every few seconds: at what the watcher knows of them, which costs
no call, and at what is new in their logs, a hundred in one call.
"""

from __future__ import annotations

import asyncio
import io
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakKeyDictionary

from covalent_awsbatch_plugin import errors
from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.options.settings import Settings
from covalent_awsbatch_plugin.server import live

SECONDS = 5.0
"""Between two looks."""

# CloudWatch Logs takes five FilterLogEvents a second of an account, and other processes want some, too.
_CALLS_A_LOOK = 5
_STREAMS_A_CALL = 100
# Covalent stores a stream in some 20 ms of processor time.
_SHOWN_A_LOOK = 25
# Lines may reach CloudWatch Logs later than newer ones of other jobs.
_OVERLAP_MS = 60_000
_KEPT_CHARS = 64 * 1024

_log = logging.getLogger(__name__)


@asynccontextmanager
async def shown(
    connection: Client, settings: Settings, job_id: str, task_metadata: dict[str, Any], stderr: Any
) -> AsyncIterator[None]:
    """Has Covalent show a job's state and output while it is waited for, if this process is Covalent's server.

    Args:
        connection: Connection to use.
        settings: The task's options.
        job_id: The job.
        task_metadata: `dispatch_id` and `node_id`.
        stderr: The task's error stream, whose content goes before the state.
    """
    if not live.is_shown():
        yield
        return
    job = _Job(task_metadata["dispatch_id"], task_metadata["node_id"], stderr)
    looks = _looks(connection, settings.batch_job_log_group_name)
    looks.add(job_id, job)
    try:
        yield
    finally:
        looks.remove(job_id)
        await job.close()


class _Job:
    """What is shown of a job."""

    def __init__(self, dispatch_id: str, node_id: int, stderr: Any) -> None:
        self.stream: str | None = None
        self.read_at = self.shown_at = 0.0
        self.changed = False
        self._task = dispatch_id, node_id
        self._stderr = stderr
        self._state = ""
        self._lines: deque[str] = deque()
        self._chars = 0
        self._ids: dict[str, int] = {}
        self._lock = asyncio.Lock()
        self._is_open = True

    def tell(self, job_id: str, state: dict[str, Any]) -> None:
        """Takes the job's state, as `Client.states` has it."""
        said = [f"Job {job_id} is {state['status']}"]
        said += [f"in attempt {state['attempts'] + 1}"] if state["attempts"] else []
        why = ": ".join(filter(None, (state["reason"], state["meaning"]))) or state["waiting_nodes"] or ""
        text = " ".join(said) + (f": {why}" if why else "")
        if not self._state.startswith(f"{text} ("):
            self._state = f"{text} (since {time.strftime('%H:%M:%S %Z')})"
            self.changed = True

    def add(self, line_id: str, at: int, text: str) -> None:
        """Takes a line of its log, unless it has it."""
        if line_id in self._ids:
            return
        self._ids[line_id] = at
        self._lines.append(text)
        self._chars += len(text)
        while self._chars > _KEPT_CHARS and len(self._lines) > 1:
            self._chars -= len(self._lines.popleft())
        self.changed = True

    def forget_lines_before(self, at: int) -> None:
        """Forgets which lines it has of those that are not read again."""
        self._ids = {line_id: when for line_id, when in self._ids.items() if when >= at}

    async def show(self) -> None:
        """Has Covalent store what there is."""
        async with self._lock:
            if not self._is_open:
                return
            self.changed, self.shown_at = False, time.monotonic()
            before = self._stderr.getvalue() if isinstance(self._stderr, io.StringIO) else ""
            stdout = "".join(f"{line}\n" for line in self._lines)
            await live.show(*self._task, stdout, f"{before}{self._state}\n")

    async def close(self) -> None:
        """Shows nothing from here on: what its task ends with must be the last word."""
        self._is_open = False
        async with self._lock:
            pass


class _Looks:
    """The background task for the jobs of a connection and a log group, while there are any."""

    def __init__(self, connection: Client, group: str) -> None:
        self._connection = connection
        self._group = group
        self._jobs: dict[str, _Job] = {}
        self._newest = 0
        self._may_read = True
        self._is_idle = False
        self._running: asyncio.Task[None] | None = None

    def add(self, job_id: str, job: _Job) -> None:
        self._jobs[job_id] = job
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())

    def remove(self, job_id: str) -> None:
        self._jobs.pop(job_id, None)
        if not self._jobs and self._is_idle and self._running is not None:
            self._running.cancel()
            self._running = None

    async def _run(self) -> None:
        while self._jobs:
            self._is_idle = True
            await asyncio.sleep(SECONDS)
            self._is_idle = False
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001  (a task must not fail for what is shown of it)
                _log.debug("The jobs that run are not shown: %r", error)

    async def _look(self) -> None:
        states = await self._connection.states(list(self._jobs))
        streams: dict[str, _Job] = {}
        for job_id, state in states.items():
            if (job := self._jobs.get(job_id)) is not None:
                job.tell(job_id, state)
                if state["log_stream"]:
                    streams[state["log_stream"]] = job
        if self._may_read:
            try:
                await self._read(streams)
            except errors.AccessError as error:
                self._may_read = False
                _log.warning("What a function prints is shown at its end only: %s", error)
        changed = sorted((job for job in self._jobs.values() if job.changed), key=lambda job: job.shown_at)
        for job in changed[:_SHOWN_A_LOOK]:
            await job.show()

    async def _read(self, streams: dict[str, _Job]) -> None:
        """Reads what is new in the logs; where there are too many, in those that were not read for the longest time."""
        longest_unread = sorted(streams, key=lambda stream: streams[stream].read_at)
        chosen = longest_unread[: _CALLS_A_LOOK * _STREAMS_A_CALL]
        new = [stream for stream in chosen if streams[stream].stream != stream]
        known = [stream for stream in chosen if streams[stream].stream == stream]
        start = max(0, self._newest - _OVERLAP_MS)
        for some, since in ((new, 0), (known, start)):
            for part in _parts(some):
                for line_id, stream, at, text in await self._connection.log_lines(self._group, part, since):
                    streams[stream].add(line_id, at, text)
                    self._newest = max(self._newest, at)
                for stream in part:
                    job = streams[stream]
                    job.stream, job.read_at = stream, time.monotonic()
                    job.forget_lines_before(start)


def _parts(streams: list[str]) -> Iterable[list[str]]:
    return (streams[first : first + _STREAMS_A_CALL] for first in range(0, len(streams), _STREAMS_A_CALL))


_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[Client, str], _Looks]] = WeakKeyDictionary()


def _looks(connection: Client, group: str) -> _Looks:
    of_loop = _of_loops.setdefault(asyncio.get_running_loop(), {})
    return of_loop.setdefault((connection, group), _Looks(connection, group))
