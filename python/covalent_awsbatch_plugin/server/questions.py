"""Requests to the dispatcher, which may answer late.

Covalent answers `get_cancel_requested` and `set_job_handle` through a queue and stops waiting after 5 s. Under load an
answer then comes late and would be taken for the answer to the next request. Here answers are counted, so that each
request gets its own, and an unanswered request does not fail the task.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

ANSWER_TIMEOUT_SECONDS = 30.0
"""Seconds to wait for an answer."""

RUNTIME_ATTRIBUTES = frozenset({"_unanswered", "_dispatcher_failed"})
"""Attributes that this adds to the executor while a task runs."""

_log = logging.getLogger(__name__)


class PatientQuestions:
    """Replaces the requests of Covalent's `AsyncBaseExecutor`; must precede it among a class's bases."""

    _send_queue: asyncio.Queue[Any]
    _recv_queue: asyncio.Queue[Any]
    _unanswered: int = 0
    _dispatcher_failed: bool = False

    async def _notify_sync(self, action: Any, body: Any = None) -> Any:
        """Send a request and wait for its own answer.

        Raises:
            TimeoutError: No answer within `ANSWER_TIMEOUT_SECONDS`.
            RuntimeError: The dispatcher failed on this or an earlier request and answers no more.
        """
        if self._dispatcher_failed:
            raise RuntimeError("the dispatcher no longer listens to this task")
        self._send_queue.put_nowait((action, body))
        self._unanswered += 1
        try:
            async with _timeout(ANSWER_TIMEOUT_SECONDS):
                while True:
                    understood, answer = await self._recv_queue.get()
                    self._unanswered -= 1
                    if understood is False:
                        self._dispatcher_failed = True
                        raise RuntimeError("the dispatcher could not answer")
                    # Answers come in order; while requests are unanswered, this is a late one to an abandoned request.
                    if self._unanswered == 0:
                        return answer
        except asyncio.TimeoutError as error:
            raise TimeoutError(f"the dispatcher did not answer within {ANSWER_TIMEOUT_SECONDS:.0f} s") from error

    async def get_cancel_requested(self) -> bool:
        """Whether Covalent wants this task cancelled; False if there is no dispatcher or it does not answer."""
        from covalent.executor.utils import Signals

        if "_send_queue" not in self.__dict__:
            return False
        try:
            return bool(await self._notify_sync(Signals.GET, "cancel_requested"))
        except (TimeoutError, RuntimeError) as error:
            _log.warning("Going on without knowing whether the task was cancelled: %s", error)
            return False

    async def set_job_handle(self, handle: Any) -> Any:
        """Tell Covalent the job's id, under which it cancels the job. Without an answer the task goes on."""
        if "_send_queue" not in self.__dict__:
            return None
        try:
            return await super().set_job_handle(handle)  # type: ignore[misc]  # of Covalent's executor
        except (TimeoutError, RuntimeError) as error:
            _log.warning("Covalent did not confirm job %s, so cancelling it from there may fail: %s", handle, error)
            return None


class _timeout:  # noqa: N801  (asyncio.timeout, which Python 3.10 lacks)
    """A time-out for a block, which cancels the task that runs it.

    `asyncio.wait_for` would do, but on Python 3.10 and 3.11 it can lose an answer that arrives with the time-out.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._expired = False
        self._before = 0

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        if cancelling := getattr(task, "cancelling", None):
            self._before = cancelling()
        self._handle = asyncio.get_running_loop().call_later(self._seconds, self._expire, task)

    def _expire(self, task: asyncio.Task[Any]) -> None:
        self._expired = True
        task.cancel()

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._handle.cancel()
        if self._expired and kind is asyncio.CancelledError:
            # From Python 3.11 on a task counts cancellations: another one at the same moment must not be swallowed.
            uncancel = getattr(self._task, "uncancel", None)
            if uncancel is None or uncancel() <= self._before:
                raise asyncio.TimeoutError
