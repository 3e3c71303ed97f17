"""Tasks without Covalent's server: the executor's `run` against an embedded AWS that really runs the jobs."""

from __future__ import annotations

import asyncio
import io
import itertools
import pickle
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from covalent._shared_files.exceptions import TaskCancelledError

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.errors import AWSBatchError, JobFailedError
from covalent_awsbatch_plugin.local import LocalAWS

from .servers import Answer, HttpServer, Request
from .signing import forward_signed

BUCKET = "covalent-batch-job-resources"
SECRET = "hunter2-or-so"
# The runner, unless the job's environment says what to run instead.
PROGRAM = [
    *("sh", "-c", 'if [ "$INSTEAD" ]; then eval "$INSTEAD"; else exec "$1" -m covalent_awsbatch_plugin.runner; fi'),
    *("sh", "{python}"),
]

Function = Callable[..., Any]


class TaskBench:
    """An embedded AWS behind a proxy that records what the executor asks, and may answer in its place.

    Args:
        aws: The embedded AWS.
        directory: A place for the executors' credentials.

    Attributes:
        instead: Called with each request before it is passed on; an answer of its own replaces the embedded AWS's.
        proxy: The proxy, whose URL the executors get as their endpoint; it has to be started.
    """

    def __init__(self, aws: LocalAWS, directory: Path) -> None:
        forward = forward_signed(aws)
        self.instead: Callable[[Request], Answer | None] = lambda _: None
        self.proxy = HttpServer(lambda request: self.instead(request) or forward(request))
        self.aws = aws
        self.batch = aws.client("batch")
        self.s3 = aws.client("s3")
        self._numbers = itertools.count()
        credentials = directory / "credentials"
        credentials.write_text(f"[default]\naws_access_key_id = AKIAPROXY\naws_secret_access_key = {SECRET}\n")
        access = {"endpoint_url": self.proxy.url, "credentials": str(credentials), "profile": "default"}
        # Most tests are not about environments, and a job that has all it needs starts sooner.
        access["container_image_uri"] = "team/jobs:1"
        self._options = {**access, "vcpu": 1, "memory": 0.5, "poll_freq": 0.2, "retry_attempts": 1}

    @property
    def requests(self) -> list[Request]:
        """What the executors asked so far; what containers ask does not pass the proxy."""
        return self.proxy.requests

    def executor(self, instead: str = "", **options: Any) -> AWSBatchExecutor:
        """An executor as it is while a task runs.

        Args:
            instead: What the shell runs in place of the runner.
            **options: Of the executor.
        """
        environment = {**({"INSTEAD": instead} if instead else {}), **options.pop("environment", {})}
        executor = AWSBatchExecutor(**{**self._options, "environment": environment, **options})
        executor._task_stdout, executor._task_stderr = io.StringIO(), io.StringIO()
        return executor

    def task(self) -> dict[str, Any]:
        """The metadata of a task that nobody has run yet."""
        return {"dispatch_id": f"dispatch-{next(self._numbers)}", "node_id": 7}

    def run(
        self, executor: AWSBatchExecutor, function: Function = max, *args: Any, task: dict[str, Any] | None = None
    ) -> Any:
        """Runs a call in an event loop of its own and returns the bare result."""
        return asyncio.run(result_of(executor, function, args or (1, 2), task or self.task()))

    def revisions(self, name: str, status: str | None = "ACTIVE") -> list[dict[str, Any]]:
        """The revisions of a job definition."""
        chosen = {"status": status} if status else {}
        found = self.batch.describe_job_definitions(jobDefinitionName=name, **chosen)["jobDefinitions"]
        return sorted(found, key=lambda one: one["revision"])

    def job(self, task: dict[str, Any]) -> dict[str, Any] | None:
        """What Batch says of the task's job; None if it was not submitted."""
        name = f"covalent-batch-{task['dispatch_id']}-{task['node_id']}"
        ids = [job.id for job in self.aws.jobs() if job.name == name]
        assert len(ids) <= 1
        return self.batch.describe_jobs(jobs=ids)["jobs"][0] if ids else None

    async def running(self, task: dict[str, Any]) -> str:
        """Waits until the task's job runs, and returns its id."""
        deadline = time.monotonic() + 30
        while not ((job := self.job(task)) and job["status"] == "RUNNING"):
            assert time.monotonic() < deadline, f"{task} does not run: {job}"
            await asyncio.sleep(0.02)
        return str(job["jobId"])

    def cancelled(self, executor: AWSBatchExecutor, task: dict[str, Any]) -> None:
        """Runs a task until Covalent cancels it by its job's id, as another executor made of the same options does."""

        async def cancel() -> None:
            running = asyncio.create_task(result_of(executor, max, (1, 2), task))
            job_id = await self.running(task)
            assert await self.executor().cancel(task, job_id) is True
            with pytest.raises(TaskCancelledError, match=job_id):
                await running

        asyncio.run(cancel())

    def ended(self, task: dict[str, Any]) -> dict[str, Any]:
        """Waits until the task's job has ended, and returns what Batch says of it."""
        deadline = time.monotonic() + 30
        while not ((job := self.job(task)) and job["status"] in ("SUCCEEDED", "FAILED")):
            assert time.monotonic() < deadline, f"{task} does not end: {job}"
            time.sleep(0.02)
        return job

    def keys(self, task: dict[str, Any]) -> list[str]:
        """What the task has in the bucket."""
        found = self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return [item["Key"] for item in found if task["dispatch_id"] + "-" in item["Key"]]


async def result_of(executor: AWSBatchExecutor, function: Function, args: Any, task: dict[str, Any]) -> Any:
    return (await executor.run(function, list(args), {}, task)).get_deserialized()


def failure_of(bench: TaskBench, executor: AWSBatchExecutor, function: Function = max, *args: Any) -> AWSBatchError:
    """How a task fails that has to."""
    task = bench.task()
    with pytest.raises(AWSBatchError) as caught:
        bench.run(executor, function, *(args or (1, 2)), task=task)
    error = caught.value
    assert not re.search(r"\b404\b", str(error)), "a job's id may contain it"
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.details) == (type(error), str(error), error.details)
    job = bench.ended(task)
    if isinstance(error, JobFailedError):
        assert error.details["job_id"] == job["jobId"]
        assert error.details["queue"] == job["jobQueue"]
        assert error.details["exit_code"] == job["container"].get("exitCode")
        assert error.details["attempts"] == len(job["attempts"])
    # Covalent shows a failed electron by its error stream.
    assert executor.task_stderr.getvalue().endswith(f"{error}\n")
    return error
