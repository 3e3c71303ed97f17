"""Every ending of a job has its own outcome, and a sentence that says what happened, why, and what to do.

All endings run at once against the laboratory; each test looks at one of them.
"""

from __future__ import annotations

import asyncio
import io
import pickle
import re
from dataclasses import dataclass, replace
from typing import Any

import pytest
from covalent._shared_files.exceptions import TaskCancelledError, TaskRuntimeError
from lab import BUCKET, Lab, endings, results

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.errors import AWSBatchError, JobFailedError, ResultError

OPTIONS = {"memory": 3.75, "time_limit": 300, "retry_attempts": 3, "poll_freq": 1}


@dataclass(frozen=True)
class Row:
    """An ending and what its user is to read.

    Attributes:
        ending: Of the job.
        error: Class of the exception; None for a result.
        cause: `cause` of a failed job.
        words: Parts of the message.
        options: Of the executor, beside `OPTIONS`.
    """

    ending: Any
    error: type[BaseException] | None
    cause: str = ""
    words: tuple[str, ...] = ()
    options: Any = None


ROWS = {
    "success": Row(endings.succeed(), None),
    "legacy-success": Row(endings.succeed(results.Legacy()), None),
    "exception": Row(endings.raised(), JobFailedError, "exception", ("ValueError: 1 is too few", "task.py")),
    "legacy-exception": Row(endings.raised_legacy(), JobFailedError, "exception", ("ValueError: 1 is too few",)),
    "exit-code": Row(
        endings.printing(endings.exited(3), "half way", "giving up"),
        JobFailedError,
        "exited",
        ("exited with code 3", "after 3 attempts", "giving up"),
    ),
    "out-of-memory": Row(endings.out_of_memory(), JobFailedError, "out_of_memory", ("3.75 GB", "raise `memory`")),
    "time-limit": Row(endings.timed_out(), JobFailedError, "time_limit", ("300 s", "raise `time_limit`")),
    "spot": Row(endings.spot_reclaim(), JobFailedError, "host_lost", ("spot reclaim", "on-demand")),
    "spot-then-well": Row(endings.spot_reclaim(then=endings.succeed()), None),
    "fargate-spot": Row(endings.fargate_spot_reclaim(), JobFailedError, "host_lost", ("interrupted",)),
    "image-missing": Row(
        endings.image_missing(), JobFailedError, "image_unavailable", ("could not be pulled", "container_image_uri")
    ),
    "image-denied": Row(endings.image_denied(), JobFailedError, "image_unavailable", ("unauthorized",)),
    "docker-timeout": Row(endings.docker_timeout(), JobFailedError, "agent_trouble", ("DockerTimeoutError",)),
    "cannot-start": Row(endings.cannot_start(), JobFailedError, "agent_trouble", ("CannotStartContainerError",)),
    "role": Row(endings.role_not_assumable(), JobFailedError, "role_unusable", ("trust policy", "ecs-tasks")),
    "terminated": Row(endings.terminated(), JobFailedError, "terminated", ("Wrong queue, sorry",)),
    "not-inspected": Row(endings.not_inspected(), None),
    "not-inspected-without-result": Row(
        endings.not_inspected_without_result(), JobFailedError, "not_inspected", ("left no result", "run it again")
    ),
    "record-expired": Row(replace(endings.succeed(seconds=15), vanishes=0.0), None),
    "record-expired-without-result": Row(
        replace(endings.succeed(results.nothing, seconds=15), vanishes=0.0),
        JobFailedError,
        "vanished",
        ("no record", "left no result"),
    ),
    "record-expired-after-an-exception": Row(
        replace(endings.raised(seconds=15), vanishes=0.0), JobFailedError, "exception", ("ValueError: 1 is too few",)
    ),
    "not-inspected-after-an-exception": Row(
        endings.not_inspected(endings.raised().tries[0].result),
        JobFailedError,
        "exception",
        ("ValueError: 1 is too few",),
    ),
    "earlier-attempt-left-its-word": Row(
        endings.left_behind(), JobFailedError, "host_lost", ("lost the machine", "after 3 attempts")
    ),
    "third-time-lucky": Row(endings.succeed_at(3), None),
    "unknown": Row(
        endings.failed("Task failed to start", "SomethingNew: never seen", 9),
        JobFailedError,
        "unknown",
        ("Task failed to start", "SomethingNew: never seen", "exit code 9"),
    ),
    "without-result": Row(endings.without_result(), ResultError, words=("succeeded but left no result", BUCKET)),
    "of-another-job": Row(endings.of_another_job(), ResultError, words=("holds what job 00000000-",)),
    "corrupt": Row(endings.corrupt_envelope(), ResultError, words=("corrupt",)),
    "corrupt-legacy": Row(endings.corrupt_legacy(), ResultError, words=("corrupt",)),
    "other-python": Row(
        endings.other_python(),
        JobFailedError,
        "exception",
        ("unsupported pickle protocol", "runs Python 3.8.19"),
        {"retry_attempts": 1},
    ),
    "other-python-legacy": Row(endings.other_python_legacy(), ResultError, words=("unsupported pickle protocol: 9",)),
    "planted": Row(
        endings.planted(b"cposix\nsystem\n(S'touch /tmp/planted'\ntR."), ResultError, words=("posix.system", "refused")
    ),
    "planted-envelope": Row(
        endings.planted(b"cposix\nsystem\n(S'true'\ntR.", {"covalent-awsbatch-format": "2"}),
        ResultError,
        words=("posix.system",),
    ),
    "poisoned-record": Row(endings.malformed(), AWSBatchError, words=("cannot be understood", "job")),
    "never-started": Row(
        endings.stuck(endings.STUCK["resources"]),
        JobFailedError,
        "never_started",
        ("runnable_timeout=2 s", "2 vCPUs", "JOB_RESOURCE_REQUIREMENT"),
        {"runnable_timeout": 2},
    ),
}


@dataclass
class Seen:
    """What one task's user saw: its result or its exception, and its streams."""

    outcome: Any
    stderr: str


async def _run(lab: Lab, name: str, row: Row) -> Seen:
    executor = AWSBatchExecutor(**{**lab.options, **OPTIONS, **(row.options or {})})
    streams = io.StringIO(), io.StringIO()
    executor._task_stdout, executor._task_stderr = streams
    metadata = {"dispatch_id": "endings", "node_id": name}
    try:
        outcome = await executor.run(len, ["x"], {}, metadata)
    except AWSBatchError as error:
        outcome = error
    return Seen(outcome, streams[1].getvalue())


async def _run_all(lab: Lab) -> dict[str, Seen]:
    seen = await asyncio.gather(*(_run(lab, name, row) for name, row in ROWS.items()))
    return dict(zip(ROWS, seen, strict=True))


@pytest.fixture(scope="module")
def seen() -> dict[str, Seen]:
    """Every row's outcome; all of them run at the same time."""
    chosen = {f"covalent-batch-endings-{name}": row.ending for name, row in ROWS.items()}
    with Lab(endings=chosen) as lab:
        outcomes = asyncio.run(_run_all(lab))
        assert len(lab.jobs()) == len(ROWS), "each task has one job"
        return outcomes


@pytest.mark.parametrize("name", ROWS)
def test_an_ending_is_explained(seen: dict[str, Seen], name: str) -> None:
    row, outcome = ROWS[name], seen[name].outcome
    if row.error is None:
        assert not isinstance(outcome, BaseException), outcome
        return
    assert isinstance(outcome, row.error), outcome
    assert isinstance(outcome, TaskRuntimeError), "Covalent marks the electron FAILED and keeps its streams"
    message = str(outcome)
    for word in row.words:
        assert word in message
    assert not re.search(r"\b404\b", message)
    assert "HeadObject" not in message
    assert message in seen[name].stderr
    if row.cause:
        assert outcome.details["cause"] == row.cause
        assert outcome.details["job_id"]
        assert "job-queue/" in outcome.details["queue"]
        assert outcome.details["console"].endswith(outcome.details["job_id"])
        assert outcome.details["attempts"] >= 0
    copy = pickle.loads(pickle.dumps(outcome))
    assert (type(copy), str(copy), copy.details) == (type(outcome), message, outcome.details)


def test_cancelled_from_covalent_is_no_failure() -> None:
    async def cancelled() -> None:
        executor = AWSBatchExecutor(**lab.options, **OPTIONS)
        metadata = {"dispatch_id": "cancelled", "node_id": 1}
        task = asyncio.ensure_future(executor.run(len, ["x"], {}, metadata))
        while not (jobs := lab.jobs()):  # noqa: ASYNC110  (it becomes so in another process)
            await asyncio.sleep(0.01)
        # As Covalent does: by another instance.
        assert await AWSBatchExecutor(**lab.options).cancel(metadata, jobs[0].id)
        with pytest.raises(TaskCancelledError):
            await task

    with Lab(endings={"*": endings.runs_for_ever()}) as lab:
        asyncio.run(cancelled())
