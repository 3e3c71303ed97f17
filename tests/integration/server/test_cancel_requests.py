"""Covalent asks for the end of a task, whatever it is at: no job goes on, and none that does is said to be over."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from covalent._shared_files.exceptions import TaskCancelledError
from covalent.executor.utils import Signals
from lab import Lab, endings, faults
from lab.faults import Fault
from support.tasks import becomes, dispatcher, executor_of, only_job

from covalent_awsbatch_plugin._core import CANCEL_REASON
from covalent_awsbatch_plugin.agreement.naming import JOB_NAME, of_task

# Jobs run until they are terminated.
pytestmark = pytest.mark.lab(endings={"*": endings.runs_for_ever()})


def test_a_task_that_is_cancelled_between_its_job_and_the_handle_terminates_it(
    lab: Lab, metadata: dict[str, Any]
) -> None:
    async def cancelled() -> None:
        executor, asked = executor_of(lab), asyncio.Event()

        def answer(kind: Any, _: Any) -> Any:
            if kind != Signals.PUT:
                return False
            asked.set()
            return ...

        async with dispatcher(executor, answer):
            running = asyncio.ensure_future(executor.run(len, ["x"], {}, metadata))
            await asked.wait()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running

    asyncio.run(cancelled())
    assert only_job(lab, metadata).is_terminated


@pytest.mark.parametrize("question", range(3))
def test_a_request_without_a_handle_is_seen_at_the_next_question(
    lab: Lab, metadata: dict[str, Any], question: int
) -> None:
    """Before the upload, before the submission, and after the job's id was told."""
    executor, asked = executor_of(lab), []

    def answer(kind: Any, body: Any) -> Any:
        if kind == Signals.PUT:
            return True
        asked.append(body)
        return len(asked) > question

    async def cancelled() -> None:
        assert await executor_of(lab).cancel(metadata, None) is False
        async with dispatcher(executor, answer):
            with pytest.raises(TaskCancelledError):
                await executor.run(len, ["x"], {}, metadata)

    asyncio.run(cancelled())
    assert [job.is_terminated for job in lab.jobs()] == [True] * (question == 2)


@pytest.mark.parametrize("script", [[], [faults.drop("TerminateJob", acts=True, times=1)], [faults.throttle(times=3)]])
def test_a_request_with_a_handle_ends_job_and_task(lab: Lab, metadata: dict[str, Any], script: Sequence[Fault]) -> None:
    async def cancelled() -> None:
        running = asyncio.ensure_future(executor_of(lab).run(len, ["x"], {}, metadata))
        await becomes(lab.jobs)
        lab.faults(*script)
        assert await executor_of(lab).cancel(metadata, only_job(lab, metadata).id) is True
        with pytest.raises(TaskCancelledError):
            await running

    asyncio.run(cancelled())
    assert only_job(lab, metadata).reason.startswith(CANCEL_REASON)


@pytest.mark.parametrize("script", [[], [faults.refuse("TerminateJobs", "UnknownOperationException", status=404)]])
def test_a_dispatch_ends_with_few_calls_and_where_there_is_no_such_call_with_one_for_each_job(
    lab: Lab, script: Sequence[Fault]
) -> None:
    dispatch = str(uuid.uuid4())
    nodes = [{"dispatch_id": dispatch, "node_id": node} for node in range(60)]

    async def cancelled() -> list[Any]:
        running = [asyncio.ensure_future(executor_of(lab).run(len, ["x"], {}, node)) for node in nodes]
        await becomes(lambda: len(lab.jobs()) == len(nodes))
        lab.faults(*script)
        ids = {job.name: job.id for job in lab.jobs()}
        executor = executor_of(lab)
        await asyncio.gather(*(executor.cancel(node, ids[of_task(JOB_NAME, node)]) for node in nodes))
        return await asyncio.gather(*running, return_exceptions=True)

    ends = asyncio.run(cancelled())
    assert {type(end) for end in ends} == {TaskCancelledError}
    assert all(job.is_terminated for job in lab.jobs())
    asked = lab.counts["TerminateJob"], lab.counts["TerminateJobs"]
    assert asked[1] < 10
    assert asked[0] == 60 if script else asked[0] < 10


def test_a_request_that_aws_refuses_leaves_the_task_waiting_for_its_job(lab: Lab, metadata: dict[str, Any]) -> None:
    async def refused() -> Any:
        running = asyncio.ensure_future(executor_of(lab).run(len, ["x"], {}, metadata))
        await becomes(lab.jobs)
        lab.faults(faults.denied("TerminateJob"))
        assert await executor_of(lab).cancel(metadata, only_job(lab, metadata).id) is False
        lab.end("*", endings.succeed())
        return (await running).get_deserialized()

    assert asyncio.run(refused()) == only_job(lab, metadata).name


def test_a_refusal_at_the_last_question_leaves_the_task_waiting_for_its_job(lab: Lab, metadata: dict[str, Any]) -> None:
    """Covalent had no handle yet when it was asked, so the task itself asks AWS, and is told no."""
    executor, asked = executor_of(lab), []
    lab.choose("*", endings.succeed())
    lab.faults(faults.denied("TerminateJob"))

    def answer(kind: Any, body: Any) -> Any:
        if kind == Signals.PUT:
            return True
        asked.append(body)
        return len(asked) == 3

    async def refused() -> Any:
        async with dispatcher(executor, answer):
            return (await executor.run(len, ["x"], {}, metadata)).get_deserialized()

    assert asyncio.run(refused()) == only_job(lab, metadata).name
    assert len(asked) == 3


def test_those_that_wait_for_their_turn_are_not_submitted_any_more(lab: Lab) -> None:
    """Two hundred at once are more than the account's calls of some seconds."""
    dispatch = str(uuid.uuid4())

    async def cancelled() -> None:
        tasks = [
            asyncio.ensure_future(executor_of(lab).run(len, ["x"], {}, {"dispatch_id": dispatch, "node_id": node}))
            for node in range(200)
        ]
        await becomes(lambda: lab.counts["SubmitJob"])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(200 / 45)  # in which all of them would have gone out
        await becomes(lambda: all(job.is_terminated for job in lab.jobs()))

    asyncio.run(cancelled())
    assert lab.counts["SubmitJob"] < 180
