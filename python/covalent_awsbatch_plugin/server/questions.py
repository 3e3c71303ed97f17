"""Asking the dispatcher, which may be slow to answer.

Covalent answers `get_cancel_requested` and `set_job_handle` through a queue and gives up on an answer after 5 s. Under
load the answer then comes late and would be taken for that of the next question. Here answers are counted, so that each
question gets its own, and one that is not answered in time fails nothing.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

PATIENCE = 30.0
"""Seconds to wait for an answer."""

RUNTIME_ATTRIBUTES = frozenset({"_unanswered", "_nobody_listens"})
"""What this keeps on the executor while a task runs."""

_log = logging.getLogger(__name__)


class PatientQuestions:
    """Replaces the questions of Covalent's `AsyncBaseExecutor`; to be named before it among a class's bases."""

    _send_queue: asyncio.Queue[Any]
    _recv_queue: asyncio.Queue[Any]
    _unanswered: int = 0
    _nobody_listens: bool = False

    async def _notify_sync(self, action: Any, body: Any = None) -> Any:
        """Ask and wait for the answer to this very question.

        Raises:
            TimeoutError: No answer within `PATIENCE`.
            RuntimeError: The dispatcher failed over this or an earlier question and listens no more.
        """
        if self._nobody_listens:
            raise RuntimeError("the dispatcher no longer listens to this task")
        self._send_queue.put_nowait((action, body))
        self._unanswered += 1
        try:
            async with _timeout(PATIENCE):
                while True:
                    understood, answer = await self._recv_queue.get()
                    self._unanswered -= 1
                    if understood is False:
                        self._nobody_listens = True
                        raise RuntimeError("the dispatcher could not answer")
                    # Answers come in the order of the questions; earlier ones are late answers to abandoned questions.
                    if self._unanswered == 0:
                        return answer
        except asyncio.TimeoutError as error:
            raise TimeoutError(f"the dispatcher did not answer within {PATIENCE:.0f} s") from error

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
    """Bounds a block in time by cancelling the task that runs it.

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
            # From Python 3.11 on a task counts: who else cancelled it in the same moment must not be overheard.
            uncancel = getattr(self._task, "uncancel", None)
            if uncancel is None or uncancel() <= self._before:
                raise asyncio.TimeoutError
