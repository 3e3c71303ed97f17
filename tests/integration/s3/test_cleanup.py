"""What a task leaves in the bucket, and what it never does: deletions, demands, secrets."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from covalent._shared_files.exceptions import TaskCancelledError
from support.bucket import DENIED, OWNER
from support.servers import Answer
from support.task_bench import BUCKET, SECRET, TaskBench

from covalent_awsbatch_plugin.agreement.naming import task_keys
from covalent_awsbatch_plugin.errors import AWSBatchError, JobFailedError

OWNER_HEADER = "x-amz-expected-bucket-owner"
LARGE = 9 * 1024 * 1024  # an output that does not fit into the envelope


def test_the_runner_demands_of_the_bucket_what_the_executor_does(bench: TaskBench) -> None:
    def variables(length: int) -> tuple[dict[str, str], bytes]:
        names = ("COVALENT_AWSBATCH_BUCKET_OWNER", "COVALENT_AWSBATCH_KMS_KEY_ID")
        return {name: os.environ[name] for name in names if name in os.environ}, bytes(length)

    task = bench.task()
    told, output = bench.run(bench.executor(s3_kms_key_id="alias/mine"), variables, LARGE, task=task)
    assert len(output) == LARGE
    assert told == {"COVALENT_AWSBATCH_BUCKET_OWNER": OWNER, "COVALENT_AWSBATCH_KMS_KEY_ID": "alias/mine"}
    keys = bench.keys(task)
    assert len(keys) == 3
    for key in keys:
        head = bench.s3.head_object(Bucket=BUCKET, Key=key)
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/mine"), key
    # The container talks to the service directly; what passed here was the executor's.
    asked = [request for request in bench.requests if request.service == "s3"]
    assert {request.headers.get(OWNER_HEADER) for request in asked} == {OWNER}

    task = bench.task()
    told, _ = bench.run(bench.executor(s3_bucket_owner="any"), variables, 0, task=task)
    assert told == {}
    head = bench.s3.head_object(Bucket=BUCKET, Key=bench.keys(task)[0])
    assert "SSEKMSKeyId" not in head


def failing() -> Callable[..., None]:
    """A function that raises, and is pickled by value since it has no name that a container could import."""

    def fail(*_: Any) -> None:
        raise ValueError("on purpose")

    return fail


@pytest.mark.parametrize(
    ("option", "after_success", "after_failure"),
    [("never", 3, 2), ("success", 0, 2), ("always", 0, 0)],
)
def test_what_is_left_of_a_task(bench: TaskBench, option: str, after_success: int, after_failure: int) -> None:
    task, executor = bench.task(), bench.executor(s3_cleanup=option)
    assert bench.run(executor, bytes, LARGE, task=task) == bytes(LARGE)
    assert len(bench.keys(task)) == after_success

    task = bench.task()
    with pytest.raises(JobFailedError, match="on purpose"):
        bench.run(executor, failing(), task=task)
    assert len(bench.keys(task)) == after_failure

    deletions = [request for request in bench.requests if urlsplit(request.path).query == "delete"]
    assert len(deletions) == {"never": 0, "success": 1, "always": 2}[option]


def test_what_the_public_image_leaves_is_deleted_too(bench: TaskBench) -> None:
    task = bench.task()
    key = task_keys(**task)[-1]
    bench.s3.put_object(Bucket=BUCKET, Key=key, Body=b'["", "", null, null]')
    bench.run(bench.executor(s3_cleanup="success"), task=task)
    assert bench.keys(task) == []


@pytest.mark.parametrize(("option", "left"), [("success", 1), ("always", 0)])
def test_a_task_that_was_never_submitted(bench: TaskBench, option: str, left: int) -> None:
    task = bench.task()
    with pytest.raises(AWSBatchError, match="no-such-queue"):
        bench.run(bench.executor(s3_cleanup=option, batch_queue="no-such-queue"), task=task)
    assert len(bench.keys(task)) == left


@pytest.mark.parametrize(("option", "left"), [("success", 1), ("always", 0)])
def test_a_task_that_was_cancelled(bench: TaskBench, option: str, left: int) -> None:
    task, executor = bench.task(), bench.executor("exec sleep 60", s3_cleanup=option)

    async def cancel() -> None:
        running = asyncio.create_task(executor.run(max, [1, 2], {}, task))
        assert await executor.cancel(task, await bench.running(task))
        with pytest.raises(TaskCancelledError):
            await running

    asyncio.run(cancel())
    assert len(bench.keys(task)) == left


def test_a_deletion_that_is_denied_is_a_line_for_debugging(bench: TaskBench, caplog: pytest.LogCaptureFixture) -> None:
    one = b"<DeleteResult><Error><Key>func</Key><Code>AccessDenied</Code><Message>No.</Message></Error></DeleteResult>"
    for answer, sentence in [(DENIED, "AWS denied s3:DeleteObject"), (Answer(one), "AccessDenied: No.")]:
        bench.instead = lambda request, answer=answer: answer if request.path.endswith("?delete") else None  # type: ignore[misc]
        task = bench.task()
        caplog.clear()
        with caplog.at_level(logging.DEBUG, logger="covalent_awsbatch_plugin"):
            assert bench.run(bench.executor(s3_cleanup="always"), task=task) == 2
        [record] = [record for record in caplog.records if sentence in record.getMessage()]
        assert record.levelno == logging.DEBUG
        assert len(bench.keys(task)) == 2


def test_secrets_stay_where_they_are(bench: TaskBench, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the credentials nor the values of the environment, whatever happens and at whatever level."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="covalent_awsbatch_plugin")
    options: dict[str, Any] = {"environment": {"TOKEN": "the-value"}}
    said: list[str] = []
    ways: list[dict[str, Any]] = [
        {"instead": "exit 3"},
        {"batch_queue": "no-such-queue"},
        {"s3_bucket_name": "no-such-bucket"},
        {"s3_bucket_owner": "210987654321"},
        {"s3_kms_key_id": "alias/mine", "s3_cleanup": "always"},
    ]
    for more in ways:
        executor = bench.executor(**options, **more)
        bench.instead = lambda request, more=more: (  # type: ignore[misc]
            DENIED if "s3_bucket_owner" in more and request.service == "s3" else None
        )
        try:
            bench.run(executor, failing())
        except AWSBatchError as error:
            said += [str(error), repr(error), repr(error.details), executor.task_stderr.getvalue()]
    assert len(said) == 4 * len(ways)
    own = [record.getMessage() for record in caplog.records if record.name.startswith(("covalent_awsbatch", "aws"))]
    assert own
    jobs = bench.aws.client("batch").describe_jobs(jobs=[job.id for job in bench.aws.jobs()])["jobs"]
    visible = [json.dumps([job["jobName"], job.get("tags"), job.get("statusReason")]) for job in jobs]
    for text in [*said, *own, *visible]:
        assert SECRET not in text
        assert "the-value" not in text
