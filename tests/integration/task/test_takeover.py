"""A task that an earlier server had begun: its job is found, whether Covalent was told of it or not."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from lab import Lab, endings, faults
from lab.control import JobView
from support.tasks import becomes, becomes_by_itself, executor_of, only_job

from covalent_awsbatch_plugin.errors import AccessError, JobFailedError
from covalent_awsbatch_plugin.server import handles
from covalent_awsbatch_plugin.task.connection import client


def run(lab: Lab, metadata: dict[str, Any]) -> Any:
    return asyncio.run(executor_of(lab).run(len, ["x"], {}, metadata)).get_deserialized()


def expect(metadata: dict[str, Any], job_id: str = "") -> None:
    handles.expect(metadata["dispatch_id"], metadata["node_id"], job_id)


@pytest.mark.parametrize("is_told", [True, False])
def test_a_job_that_has_ended_is_not_submitted_again(lab: Lab, metadata: dict[str, Any], is_told: bool) -> None:
    result = run(lab, metadata)
    expect(metadata, only_job(lab, metadata).id if is_told else "")
    assert run(lab, metadata) == result
    only_job(lab, metadata)


def test_a_task_without_a_job_is_submitted(lab: Lab, metadata: dict[str, Any]) -> None:
    expect(metadata)
    run(lab, metadata)
    only_job(lab, metadata)


@pytest.mark.lab(endings={"*": endings.image_missing()})
def test_a_job_that_failed_before_its_function_was_called_has_ended_too(lab: Lab, metadata: dict[str, Any]) -> None:
    with pytest.raises(JobFailedError, match="image"):
        run(lab, metadata)
    lab.choose("*", endings.succeed())
    expect(metadata)
    with pytest.raises(JobFailedError, match="image"):
        run(lab, metadata)
    only_job(lab, metadata)


def submitted_without_taker(lab: Lab, metadata: dict[str, Any], spares: bool) -> JobView:
    """A job that was submitted, and nobody waits for the answer, which comes when its loop is gone."""
    lab.faults(faults.latency(0.5, operation="SubmitJob"))

    async def begin() -> None:
        executor = executor_of(lab)
        await executor._validate_credentials()
        await executor._upload_task(len, ["x"], {}, metadata)
        submitting = asyncio.ensure_future(executor.submit_task(metadata))
        await becomes(lambda: lab.jobs(f"*{metadata['dispatch_id']}*"))
        if spares:
            client(executor._settings()).spare(only_job(lab, metadata).name)
        submitting.cancel()

    asyncio.run(begin())
    return only_job(lab, metadata)


@pytest.mark.lab(endings={"*": endings.stuck()})
def test_a_submission_that_was_taken_back_is_made_again(lab: Lab, metadata: dict[str, Any]) -> None:
    submitted_without_taker(lab, metadata, spares=False)
    becomes_by_itself(lambda: only_job(lab, metadata).is_terminated)
    lab.choose("*", endings.succeed())
    expect(metadata)
    run(lab, metadata)
    assert [job.is_terminated for job in lab.jobs(f"*{metadata['dispatch_id']}*")] == [True, False]


@pytest.mark.lab(endings={"*": endings.runs_for_ever()})
def test_a_job_that_is_to_go_on_is_not_terminated_however_late_its_id_comes(lab: Lab, metadata: dict[str, Any]) -> None:
    spared = submitted_without_taker(lab, metadata, spares=True)
    # What comes later is over before.
    other = {**metadata, "dispatch_id": str(uuid.uuid4())}
    submitted_without_taker(lab, other, spares=False)
    becomes_by_itself(lambda: only_job(lab, other).is_terminated)
    assert not only_job(lab, metadata).is_terminated
    lab.end(spared.name, endings.succeed())
    expect(metadata)
    run(lab, metadata)
    only_job(lab, metadata)


def test_without_the_right_to_look_nothing_is_submitted_twice(lab: Lab, metadata: dict[str, Any]) -> None:
    lab.faults(faults.denied("ListJobs"))
    expect(metadata)
    with pytest.raises(AccessError, match=r"batch:ListJobs.*cannot be told, and it is not submitted a second time"):
        run(lab, metadata)
    assert not lab.jobs()
