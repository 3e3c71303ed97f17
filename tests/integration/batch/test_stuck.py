"""A job that does not get out of SUBMITTED, PENDING or STARTING is told of, and given up in the end.

How long that takes is tested in the watcher, on paused time. Here a job was submitted long ago, by AWS's own word.
"""

from __future__ import annotations

import asyncio
import io
import logging
import time
import uuid
from dataclasses import replace
from typing import Any

import pytest
from lab import Lab, endings, faults
from lab.endings import Ending
from lab.queues import Queue
from support.tasks import becomes, executor_of

from covalent_awsbatch_plugin.errors import AccessError, JobFailedError

MINUTE = 60_000


def submitted_ago(minutes: int, ending: Ending | None = None) -> Ending:
    """A job that is SUBMITTED, as AWS tells it, since so many minutes."""
    entry = {"status": "SUBMITTED", "createdAt": int(time.time() * 1000) - minutes * MINUTE}
    return replace(ending or endings.stuck(status="SUBMITTED"), entry=entry)


async def _run(lab: Lab, stderr: io.StringIO | None = None) -> Any:
    executor = executor_of(lab)
    executor._task_stderr = stderr or io.StringIO()
    return await executor.run(len, ["x"], {}, {"dispatch_id": str(uuid.uuid4()), "node_id": 0})


def test_a_stuck_job_is_terminated_and_explained() -> None:
    async def given_up(lab: Lab) -> None:
        # The queue is closed after the job came into it.
        task = asyncio.ensure_future(_run(lab))
        await becomes(lab.jobs)
        lab.set_queue(Queue(state="DISABLED"))
        lab.faults()
        await task

    # No look at the job comes through before the queue is closed.
    with Lab(endings={"*": submitted_ago(125)}, faults=[faults.throttle("DescribeJobs")]) as lab:
        with pytest.raises(JobFailedError) as caught:
            asyncio.run(given_up(lab))
        (job,) = lab.jobs()
    assert job.is_terminated
    assert job.reason == "It stayed SUBMITTED for too long"
    message = str(caught.value)
    for words in ("had been SUBMITTED for 2 h 5 min", "ENABLED and VALID", "Of the queue is known: ", "DISABLED"):
        assert words in message
    assert caught.value.details["cause"] == "stuck"


def test_a_job_that_stays_conspicuously_long_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    async def well_in_the_end(lab: Lab) -> Any:
        task = asyncio.ensure_future(_run(lab))
        await becomes(lambda: lab.counts["DescribeJobs"] >= 3)
        lab.end("*", endings.succeed())
        return await task

    with Lab(endings={"*": submitted_ago(20)}) as lab, caplog.at_level(logging.WARNING):
        asyncio.run(well_in_the_end(lab))
    (line,) = [message for message in caplog.messages if " waits: " in message]
    assert "it has been SUBMITTED for 20 min: the scheduler of AWS Batch has not looked at it" in line
    assert line.endswith("; after 2 h it is given up")


def test_a_result_that_is_there_all_the_same_is_taken() -> None:
    """AWS hears nothing from a host, and the host runs the job."""
    with Lab(endings={"*": submitted_ago(125, endings.succeed())}) as lab:
        result = asyncio.run(_run(lab))
        (job,) = lab.jobs()
    assert result.get_deserialized() == job.name


def test_a_stuck_job_that_may_not_be_terminated_is_named() -> None:
    stderr = io.StringIO()
    with Lab(endings={"*": submitted_ago(125)}, faults=[faults.denied("TerminateJob")]) as lab:
        with pytest.raises(AccessError, match="batch:TerminateJob"):
            asyncio.run(_run(lab, stderr))
        (job,) = lab.jobs()
    assert f"Job {job.id} may go on" in stderr.getvalue()
