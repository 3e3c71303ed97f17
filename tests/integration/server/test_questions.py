"""What an executor asks and tells its dispatcher while a task runs, and what it makes of the answers."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from covalent._shared_files.exceptions import TaskCancelledError
from covalent.executor.utils import Signals
from support.task_bench import TaskBench, result_of

from covalent_awsbatch_plugin._core import CANCEL_REASON
from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.server import questions

Listener = Callable[[AWSBatchExecutor], Coroutine[Any, Any, None]]


async def listening(executor: AWSBatchExecutor, listener: Listener, work: Coroutine[Any, Any, Any]) -> Any:
    """Does what is to be done while a listener answers the executor, as it is under Covalent's server."""
    executor._init_runtime(loop=asyncio.get_running_loop())
    listens = asyncio.create_task(listener(executor))
    try:
        return await work
    finally:
        listens.cancel()
        await asyncio.gather(listens, return_exceptions=True)


class Dispatcher:
    """Answers questions and notes them.

    Args:
        cancelled_from: Number of the question, from 0, from which on the task is cancelled.
    """

    def __init__(self, cancelled_from: int = sys.maxsize) -> None:
        self.questions: list[tuple[Signals, Any]] = []
        self._cancelled_from = cancelled_from

    async def listen(self, executor: AWSBatchExecutor) -> None:
        while True:
            question = await executor._send_queue.get()
            is_cancelled = len(self.questions) >= self._cancelled_from
            self.questions.append(question)
            executor._recv_queue.put_nowait((True, is_cancelled if question[0] == Signals.GET else True))


def test_the_dispatcher_is_told_the_jobs_id(bench: TaskBench) -> None:
    dispatcher, task, executor = Dispatcher(), bench.task(), bench.executor()
    assert asyncio.run(listening(executor, dispatcher.listen, result_of(executor, max, (1, 2), task))) == 2
    told = [body for signal, body in dispatcher.questions if signal == Signals.PUT]
    assert told == [("job_handle", json.dumps(bench.ended(task)["jobId"]))]


@pytest.mark.parametrize("moment", [0, 1, 2, 3])
def test_a_cancellation_is_seen_at_every_step(bench: TaskBench, moment: int) -> None:
    """Before the upload, before the submission, and after the job's id was told."""
    dispatcher, task, executor = Dispatcher(moment), bench.task(), bench.executor("exec sleep 60")
    with pytest.raises(TaskCancelledError):
        asyncio.run(listening(executor, dispatcher.listen, result_of(executor, max, (1, 2), task)))
    signals = [signal for signal, _ in dispatcher.questions]
    if moment < 2:
        assert signals == [Signals.GET] * (moment + 1)
        assert len(bench.keys(task)) == moment
        assert bench.job(task) is None
    else:
        assert signals == [Signals.GET, Signals.GET, Signals.PUT, Signals.GET]
        assert bench.ended(task)["statusReason"].startswith(CANCEL_REASON)


def test_a_late_answer_is_not_taken_for_the_next_questions(
    bench: TaskBench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    executor = bench.executor()
    monkeypatch.setattr(questions, "ANSWER_TIMEOUT_SECONDS", 0.1)

    async def late(executor: AWSBatchExecutor) -> None:
        """Answers the first question, with yes, only when the second is there."""
        await executor._send_queue.get()
        await executor._send_queue.get()
        executor._recv_queue.put_nowait((True, True))
        executor._recv_queue.put_nowait((True, False))
        while True:
            question = await executor._send_queue.get()
            executor._recv_queue.put_nowait((True, question[1]))

    async def ask() -> None:
        assert await executor.get_cancel_requested() is False
        monkeypatch.setattr(questions, "ANSWER_TIMEOUT_SECONDS", 30)
        assert await executor.get_cancel_requested() is False
        assert await executor.set_job_handle("the job") == ("job_handle", '"the job"')
        assert await executor.get_cancel_requested() is True

    with caplog.at_level(logging.WARNING, logger="covalent_awsbatch_plugin"):
        asyncio.run(listening(executor, late, ask()))
    assert [message for message in caplog.messages if "Going on without knowing" in message]


def test_answers_that_come_never(bench: TaskBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "ANSWER_TIMEOUT_SECONDS", 0.05)
    executor = bench.executor()

    async def nobody(_: AWSBatchExecutor) -> None:
        await asyncio.Event().wait()

    assert asyncio.run(listening(executor, nobody, result_of(executor, max, (1, 2), bench.task()))) == 2


def test_a_listener_that_fails(bench: TaskBench) -> None:
    executor = bench.executor()
    asked = []

    async def fail(executor: AWSBatchExecutor) -> None:
        asked.append(await executor._send_queue.get())
        executor._recv_queue.put_nowait((False, None))

    async def run() -> Any:
        result = await result_of(executor, max, (1, 2), bench.task())
        assert executor._send_queue.empty()  # nobody would hear more questions
        return result

    assert asyncio.run(listening(executor, fail, run())) == 2
    assert asked == [(Signals.GET, "cancel_requested")]
