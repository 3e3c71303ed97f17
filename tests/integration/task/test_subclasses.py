"""Executors that people derived from version 0.42.0: what they override is asked as that version asked it."""

from __future__ import annotations

import asyncio
import io
import threading
from typing import Any

import pytest
from covalent._shared_files.exceptions import TaskCancelledError
from lab import Lab, endings
from support.tasks import becomes, only_job

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.errors import JobFailedError


def run(executor: AWSBatchExecutor, metadata: dict[str, Any]) -> Any:
    """The task's result."""
    executor._task_stderr = executor._task_stdout = io.StringIO()
    return asyncio.run(executor.run(len, ["x"], {}, metadata)).get_deserialized()


class PlainCheck(AWSBatchExecutor):
    """Checks its credentials in a plain method, which that version called in a thread."""

    def _validate_credentials(self, raise_exception: bool) -> Any:  # type: ignore[override]
        assert raise_exception
        assert threading.current_thread() is not threading.main_thread()
        return {"Account": "123456789012"}


class PassingOn(AWSBatchExecutor):
    """Leaves the check to the class that it is derived from."""

    def _validate_credentials(self, raise_exception: bool = True) -> Any:
        return super()._validate_credentials(raise_exception)


class NothingToSay(AWSBatchExecutor):
    """Has no use for what the check tells."""

    def _validate_credentials(self, raise_exception: bool = True) -> Any:  # type: ignore[override]
        pass


@pytest.mark.parametrize("kind", [PlainCheck, PassingOn, NothingToSay])
def test_a_plain_method_may_validate_the_credentials(
    lab: Lab, metadata: dict[str, Any], kind: type[AWSBatchExecutor]
) -> None:
    assert run(kind(**lab.options, s3_cleanup="always"), metadata) == only_job(lab, metadata).name
    assert not lab.objects()


class Exact(AWSBatchExecutor):
    """Looks at what it gets."""

    async def query_result(self, task_metadata: dict[str, Any]) -> Any:
        assert task_metadata.keys() == {"dispatch_id", "node_id"}
        return await super().query_result(task_metadata)


def test_a_query_of_the_result_gets_the_keys_that_it_knows(lab: Lab, metadata: dict[str, Any]) -> None:
    assert run(Exact(**lab.options), metadata) == only_job(lab, metadata).name


class Watching(AWSBatchExecutor):
    """Says by itself what the status is: from `script`, and then what AWS says."""

    def __init__(self, *script: tuple[str, int], **options: Any) -> None:
        super().__init__(**options)
        self.script, self.asked = list(script), []  # type: ignore[var-annotated]

    async def get_status(self, job_id: str) -> tuple[str, int]:
        self.asked.append(job_id)
        return self.script.pop(0) if self.script else await super().get_status(job_id)


def watching(lab: Lab, *script: tuple[str, int]) -> Watching:
    return Watching(*script, **lab.options, poll_freq=0.01)


def test_a_status_of_its_own_is_asked_until_it_is_over(lab: Lab, metadata: dict[str, Any]) -> None:
    executor = watching(lab, ("SUBMITTED", -1), ("RUNNING", -1), ("RUNNING", 0))
    result, job = run(executor, metadata), only_job(lab, metadata)
    assert result == job.name
    assert len(executor.asked) > 3
    assert set(executor.asked) == {job.id}


def test_a_failure_that_aws_knows_is_explained(lab: Lab, metadata: dict[str, Any]) -> None:
    lab.choose("*", endings.out_of_memory())
    executor = watching(lab, ("RUNNING", -1))
    with pytest.raises(JobFailedError) as caught:
        run(executor, metadata)
    assert caught.value.details["cause"] == "out_of_memory"
    assert len(executor.asked) > 1


@pytest.mark.parametrize("status", ["FAILED", "SUCCEEDED"])
def test_a_failure_that_only_the_subclass_knows_is_its_word_and_leaves_no_job(
    lab: Lab, metadata: dict[str, Any], status: str
) -> None:
    lab.choose("*", endings.runs_for_ever())
    with pytest.raises(JobFailedError, match=rf"get_status of Watching said {status} with exit code 3"):
        run(watching(lab, (status, 3)), metadata)
    assert only_job(lab, metadata).is_terminated


def test_a_cancellation_that_only_the_subclass_knows_ends_the_job(lab: Lab, metadata: dict[str, Any]) -> None:
    lab.choose("*", endings.runs_for_ever())

    async def cancelled() -> None:
        executor = watching(lab, ("CANCELLED", -1))
        with pytest.raises(TaskCancelledError):
            await executor.run(len, ["x"], {}, metadata)
        await becomes(lambda: only_job(lab, metadata).is_terminated)

    asyncio.run(cancelled())
