"""What is said of tasks and jobs that are not, or not yet, or no longer there."""

from __future__ import annotations

import asyncio
import io
import uuid
from typing import Any

import pytest
from lab import Lab, endings, faults
from support.tasks import executor_of, only_job

from covalent_awsbatch_plugin.errors import JobFailedError, ResultError


def query(lab: Lab, metadata: dict[str, Any]) -> str:
    with pytest.raises(ResultError) as caught:
        asyncio.run(executor_of(lab).query_result(metadata))
    return str(caught.value)


def test_a_task_that_never_ran_is_not_said_to_have_succeeded(lab: Lab, metadata: dict[str, Any]) -> None:
    key = f"result-{metadata['dispatch_id']}-0.pkl"
    said = f"There is no result at s3://lab-bucket/{key}: the task has not run or not ended"
    assert query(lab, metadata).startswith(said)


def test_a_task_that_failed_is_said_to_have_failed(lab: Lab, metadata: dict[str, Any]) -> None:
    lab.choose("*", endings.raised())
    executor = executor_of(lab)
    executor._task_stdout = executor._task_stderr = io.StringIO()
    with pytest.raises(JobFailedError):
        asyncio.run(executor.run(len, ["x"], {}, metadata))
    assert "only the report that the function failed" in query(lab, metadata)


def test_cancelling_a_job_that_aws_does_not_know_cancels_nothing(
    lab: Lab, metadata: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    unknown = str(uuid.uuid4())
    assert asyncio.run(executor_of(lab).cancel(metadata, unknown)) is False
    assert f"AWS Batch knows no job {unknown}" in caplog.text
    assert asyncio.run(executor_of(lab).run(len, ["x"], {}, metadata))
    assert asyncio.run(executor_of(lab).cancel(metadata, only_job(lab, metadata).id)) is True
    lab.faults(faults.denied("DescribeJobs"))
    assert asyncio.run(executor_of(lab).cancel(metadata, unknown)) is True, "AWS took it, and more is not known"
