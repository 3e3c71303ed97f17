"""A task breaks off after its submission by an error that says nothing of its job: that does not go on unseen."""

from __future__ import annotations

import asyncio
import io
import logging
from typing import Any

import pytest
from covalent.executor.utils import Signals
from lab import Lab, endings, faults
from support.tasks import dispatcher, executor_of, only_job

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.errors import SettingsError

# Jobs run until they are terminated.
pytestmark = pytest.mark.lab(endings={"*": endings.runs_for_ever()})


class TeamExecutor(AWSBatchExecutor):
    """As a team has written it, with a mistake in what it does with the job's id."""

    async def set_job_handle(self, handle: Any) -> Any:
        return {"other": "job"}[handle]


@pytest.mark.parametrize("option", ["poll_freq", "runnable_timeout"])
def test_a_number_that_only_the_watch_would_refuse_comes_to_no_submission(
    lab: Lab, metadata: dict[str, Any], option: str
) -> None:
    executor = executor_of(lab)
    setattr(executor, option, 1e20)  # as in an executor that another version has described
    with pytest.raises(SettingsError, match=option):
        asyncio.run(executor.run(len, ["x"], {}, metadata))
    assert lab.counts["SubmitJob"] == 0


def test_an_option_that_is_spoilt_while_its_job_is_submitted_ends_the_job(lab: Lab, metadata: dict[str, Any]) -> None:
    executor = executor_of(lab)
    executor._task_stderr = io.StringIO()

    def answer(kind: Any, _: Any) -> Any:
        if kind == Signals.PUT:
            executor.vcpu = "many"  # type: ignore[assignment]
            return True
        return False

    async def spoilt() -> None:
        async with dispatcher(executor, answer):
            with pytest.raises(SettingsError, match="vcpu='many'"):
                await executor.run(len, ["x"], {}, metadata)

    asyncio.run(spoilt())
    job = only_job(lab, metadata)
    assert job.is_terminated
    assert metadata["dispatch_id"] in job.reason
    assert f"Job {job.id} was terminated" in executor._task_stderr.getvalue()


@pytest.mark.parametrize("denied", [False, True])
def test_a_mistake_in_a_subclass_ends_the_job_or_names_it(
    lab: Lab, metadata: dict[str, Any], caplog: pytest.LogCaptureFixture, denied: bool
) -> None:
    executor = TeamExecutor(**lab.options)
    executor._task_stderr = io.StringIO()
    if denied:
        lab.faults(faults.denied("TerminateJob"))
    with caplog.at_level(logging.ERROR, logger="covalent_awsbatch_plugin"), pytest.raises(KeyError):
        asyncio.run(executor.run(len, ["x"], {}, metadata))
    job = only_job(lab, metadata)
    assert job.is_terminated is not denied
    (line,) = caplog.messages
    assert line.startswith(f"Job {job.id} {'may go on' if denied else 'was terminated'}")
    assert line in executor._task_stderr.getvalue()
