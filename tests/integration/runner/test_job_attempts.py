"""A job's attempts as AWS Batch makes them: what they get, what they do not do again, what they leave."""

from __future__ import annotations

import asyncio
import io
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from covalent._shared_files.exceptions import TaskCancelledError

pytest.importorskip("moto.server")

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.local import LocalAWS

# The runner; where the job's environment says so, the shell then decides about the attempt.
PROGRAM = [
    *("sh", "-c", 'if [ "$THEN" ]; then $1 -m $2 && eval "$THEN"; else exec $1 -m $2; fi'),
    *("sh", "{python}", "covalent_awsbatch_plugin.runner"),
]
REGION = "eu-west-1"
QUICK = {"container_image_uri": "team/jobs:1", "vcpu": 1, "memory": 0.5, "poll_freq": 0.2}


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAWS]:
    with LocalAWS(max_vcpus=4, program=PROGRAM, region=REGION, stop_grace=8.0) as aws:
        yield aws


def executor(aws: LocalAWS, **options: Any) -> AWSBatchExecutor:
    executor = AWSBatchExecutor(**{**aws.options, **QUICK, "region": REGION, **options})
    executor._task_stdout, executor._task_stderr = io.StringIO(), io.StringIO()
    return executor


def run(executor: AWSBatchExecutor, node: int, function: Callable[..., Any], *args: Any) -> Any:
    running = executor.run(function, list(args), {}, {"dispatch_id": "attempts", "node_id": node})
    return asyncio.run(running).get_deserialized()


def test_an_attempt_goes_on_from_the_checkpoint_of_the_one_before(aws: LocalAWS) -> None:
    def work() -> list[str]:
        from covalent_awsbatch_plugin import checkpoint

        place = checkpoint.directory() / "attempts"
        attempts = place.read_text().split() if place.exists() else []
        attempts.append(os.environ["AWS_BATCH_JOB_ATTEMPT"])
        place.write_text(" ".join(attempts))
        if len(attempts) < 3:
            os.abort()
        return attempts

    executing = executor(aws, retry_attempts=3, checkpoint=True, s3_cleanup="success")
    assert run(executing, 11, work) == ["1", "2", "3"]
    listed = aws.client("s3").list_objects_v2(Bucket=executing.s3_bucket_name)
    assert [one["Key"] for one in listed.get("Contents", []) if "attempts-11" in one["Key"]] == []


def test_finished_work_is_not_done_again(aws: LocalAWS, tmp_path: Path) -> None:
    """The result is there, but the attempt fails, as where the host is lost: the next one returns the result."""

    def work(calls: str) -> str:
        with Path(calls).open("a", encoding="utf-8") as file:
            print(os.environ["AWS_BATCH_JOB_ATTEMPT"], file=file)
        print("printed")
        return "done"

    calls = tmp_path / "calls"
    then = {"THEN": "test $AWS_BATCH_JOB_ATTEMPT = 3"}
    executing = executor(aws, retry_attempts=3, environment=then)
    assert run(executing, 1, work, str(calls)) == "done"
    assert executing._task_stdout.getvalue() == "printed\n"
    [job] = [job for job in aws.jobs() if job.name == "covalent-batch-attempts-1"]
    assert len(aws.client("batch").describe_jobs(jobs=[job.id])["jobs"][0]["attempts"]) == 3
    assert calls.read_text(encoding="utf-8") == "1\n"


def test_a_job_knows_its_region_by_both_names(aws: LocalAWS) -> None:
    def regions() -> list[str | None]:
        import boto3

        return [boto3.Session().region_name, os.environ.get("AWS_REGION"), os.environ.get("AWS_DEFAULT_REGION")]

    assert run(executor(aws), 2, regions) == [REGION] * 3


def test_a_job_without_the_executor_knows_no_region(aws: LocalAWS) -> None:
    batch = aws.client("batch")
    container = {"image": "any", "command": ["sh", "-c", 'test -z "$AWS_REGION$AWS_DEFAULT_REGION"']}
    container["resourceRequirements"] = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "128"}]
    batch.register_job_definition(jobDefinitionName="bare", type="container", containerProperties=container)
    job = batch.submit_job(jobName="bare", jobQueue="covalent-batch-queue", jobDefinition="bare")
    deadline = time.monotonic() + 60
    while (ended := batch.describe_jobs(jobs=[job["jobId"]])["jobs"][0])["status"] not in ("SUCCEEDED", "FAILED"):
        assert time.monotonic() < deadline, ended
        time.sleep(0.02)
    assert ended["status"] == "SUCCEEDED"


@pytest.mark.parametrize("deaf", [False, True])
def test_what_was_printed_before_a_cancellation_is_shown(aws: LocalAWS, tmp_path: Path, deaf: bool) -> None:
    def work(ready: str, deaf: bool) -> None:
        import signal

        if deaf:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("half way", flush=True)
        os.system("echo with a child")
        Path(ready).touch()
        while True:
            time.sleep(60)

    async def cancelled() -> None:
        task = {"dispatch_id": "attempts", "node_id": 3 + deaf}
        running = asyncio.ensure_future(executing.run(work, [str(ready), deaf], {}, task))
        while not ready.exists():
            assert not running.done(), running
            await asyncio.sleep(0.02)
        [job] = [job for job in aws.jobs() if job.name == f"covalent-batch-attempts-{3 + deaf}"]
        assert await executor(aws).cancel(task, job.id) is True
        with pytest.raises(TaskCancelledError):
            await running

    ready, executing = tmp_path / "ready", executor(aws)
    asyncio.run(cancelled())
    assert executing._task_stdout.getvalue() == "half way\nwith a child\n"
