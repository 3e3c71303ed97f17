"""What the executor asks of AWS at the endpoint, whatever befalls a task, is what the table of rights has."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from covalent._shared_files.exceptions import TaskCancelledError
from lab import Lab, Queue, endings, faults
from support.tasks import becomes

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.doctor.policy import FREE, USER
from covalent_awsbatch_plugin.errors import AWSBatchError

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/jobs:v1"
MIB = 1024 * 1024
ALLOWED = {operation.partition(":")[2] for right in USER for operation in right.operations}
ALLOWED |= {operation.partition(":")[2] for operation in FREE}


class Cancelled(AWSBatchExecutor):  # type: ignore[misc]  # covalent ships no types
    """An executor whose task is cancelled as soon as its job is known."""

    async def get_cancel_requested(self) -> bool:
        return self._known

    async def set_job_handle(self, handle: Any) -> None:  # noqa: ARG002
        self._known = True

    _known = False


def run(lab: Lab, argument: Any = 0, kind: Callable[..., Any] = AWSBatchExecutor, **options: Any) -> None:
    """Runs one task to whatever end."""
    executor = kind(**{**lab.options, "poll_freq": 0.2, "container_image_uri": IMAGE, **options})
    with contextlib.suppress(AWSBatchError, TaskCancelledError):
        asyncio.run(executor.run(abs, [argument], {}, {"dispatch_id": "dispatch", "node_id": 0}))


def asked(lab: Lab) -> set[str]:
    found = {call.operation for call in lab.calls()}
    assert found <= ALLOWED
    return found


def test_a_task_that_succeeds_and_is_cleaned_up() -> None:
    with Lab() as lab:
        run(lab, s3_cleanup="always", tags={"team": "physics"})
        assert {"PutObject", "SubmitJob", "DescribeJobs", "GetObject", "DeleteObjects"} <= asked(lab)


@pytest.mark.parametrize(
    "fault", [None, faults.denied("UploadPart"), faults.error("CreateMultipartUpload", acts=True, times=1)]
)
def test_a_large_argument(fault: faults.Fault | None) -> None:
    with Lab(discard="func-*", faults=[fault] if fault else []) as lab:
        run(lab, Random(1).randbytes(40 * MIB))
        assert "CreateMultipartUpload" in asked(lab)


def test_a_large_argument_whose_completion_is_lost() -> None:
    with Lab(discard="func-*", faults=[faults.drop("CompleteMultipartUpload", acts=True, times=1)]) as lab:
        run(lab, Random(1).randbytes(40 * MIB))
        assert {"CompleteMultipartUpload", "HeadObject"} <= asked(lab)


@pytest.mark.parametrize(
    "ending", [endings.raised(), endings.out_of_memory(), endings.image_missing(), endings.without_result()]
)
def test_a_task_that_fails(ending: endings.Ending) -> None:
    with Lab(endings={"*": ending}) as lab:
        run(lab)
        asked(lab)


def test_a_task_that_is_cancelled() -> None:
    with Lab(job_seconds=60) as lab:
        run(lab, kind=Cancelled)
        assert "TerminateJob" in asked(lab)


def test_tasks_that_are_cancelled_together() -> None:
    with Lab(job_seconds=60) as lab:
        executor = AWSBatchExecutor(**{**lab.options, "poll_freq": 0.2, "container_image_uri": IMAGE})

        async def cancelled() -> None:
            nodes = [{"dispatch_id": "dispatch", "node_id": node} for node in range(2)]
            running = [asyncio.ensure_future(executor.run(abs, [0], {}, node)) for node in nodes]
            await becomes(lambda: len(lab.jobs()) == len(nodes))
            await asyncio.gather(*(executor.cancel(nodes[0], job.id) for job in lab.jobs()))
            await asyncio.gather(*running, return_exceptions=True)

        asyncio.run(cancelled())
        assert "TerminateJobs" in asked(lab)


def test_a_submission_that_is_refused_or_lost() -> None:
    with Lab(queues={"lab-queue": Queue(state="DISABLED")}) as lab:
        run(lab)
        assert {"DescribeJobQueues", "DescribeComputeEnvironments"} <= asked(lab)
    with Lab(faults=[faults.drop("SubmitJob", acts=True, at=(1,))]) as lab:
        run(lab)
        assert "ListJobs" in asked(lab)
