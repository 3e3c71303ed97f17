"""The executor without Covalent's server: its `run` against an embedded AWS that really runs the jobs."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

import pytest
from support.processes import python
from support.task_bench import BUCKET, TaskBench, failure_of, result_of

from covalent_awsbatch_plugin._core import CANCEL_REASON
from covalent_awsbatch_plugin.errors import JobFailedError, ResultError
from covalent_awsbatch_plugin.options.settings import OPTIONS

MIB = 1024 * 1024

# --- job definitions ---


def test_twenty_tasks_at_once(bench: TaskBench) -> None:
    executor = bench.executor(batch_job_definition_name="twenty")
    before = len(bench.aws.jobs())
    asked_before = len(bench.requests)

    async def twenty() -> list[Any]:
        calls = [result_of(executor, pow, (number, 2), bench.task()) for number in range(20)]
        return list(await asyncio.gather(*calls))

    start = time.monotonic()
    assert asyncio.run(twenty()) == [number**2 for number in range(20)]
    assert len(bench.aws.jobs()) - before == 20
    assert [one["revision"] for one in bench.revisions("twenty", None)] == [1]
    asked = bench.requests[asked_before:]
    assert [request.service for request in asked].count("sts") == 1
    paths = [request.path for request in asked if request.service == "batch"]
    assert paths.count("/v1/submitjob") == 20
    assert paths.count("/v1/registerjobdefinition") == paths.count("/v1/describejobdefinitions") == 1
    # Twenty jobs are watched by one call every fifth of a second; one for each would be twenty times as many.
    assert paths.count("/v1/describejobs") < 5 * (time.monotonic() - start) + 20


def test_another_process_takes_the_same_revision(bench: TaskBench) -> None:
    executor = bench.executor(batch_job_definition_name="shared")
    assert bench.run(executor, max, 1, 2) == 2
    program = """
        import asyncio, json, sys
        from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor

        executor = AWSBatchExecutor(**json.loads(sys.argv[1]))
        task = json.loads(sys.argv[2])
        print(asyncio.run(executor.run(max, [3, 4], {}, task)).get_deserialized())
    """
    attributes = executor.to_dict()["attributes"]
    options = {name: attributes[name] for name in OPTIONS}
    arguments = [json.dumps(options), json.dumps(bench.task())]
    done = python(program, *arguments)
    assert done.stdout.split() == ["4"]
    assert [one["revision"] for one in bench.revisions("shared", None)] == [1]


def test_a_deregistered_revision_is_replaced(bench: TaskBench) -> None:
    executor = bench.executor("exit 3", batch_job_definition_name="deregistered")
    failure_of(bench, executor)
    [first] = bench.revisions("deregistered")
    bench.batch.deregister_job_definition(jobDefinition=first["jobDefinitionArn"])
    assert isinstance(failure_of(bench, executor), JobFailedError)
    [second] = bench.revisions("deregistered")
    assert second["jobDefinitionArn"] != first["jobDefinitionArn"]


def test_what_is_common_makes_a_revision_and_what_is_the_jobs_own_does_not(bench: TaskBench) -> None:
    name = {"batch_job_definition_name": "contents"}
    task_settings: list[dict[str, Any]] = [{}, {"memory": 1}, {"vcpu": 2}, {"time_limit": 600}, {"retry_attempts": 2}]
    for options in task_settings:
        failure_of(bench, bench.executor("exit 3", **name, **options))
    assert len(bench.revisions("contents")) == 1
    image = "public.ecr.aws/covalent/covalent-executor-base:other"
    failure_of(bench, bench.executor("exit 3", **name, container_image_uri=image))
    failure_of(bench, bench.executor("exit 3", **name))
    revisions = bench.revisions("contents")
    assert len(revisions) == 2
    assert revisions[1]["containerProperties"]["image"] == image


# --- results ---


def test_results_of_all_sizes(bench: TaskBench) -> None:
    values = [None, "", b"", "ünïcode 😀\n\0", bytes(range(256)), {"a": [1.5, (2, {3})]}]
    large = 50 * MIB

    def printing(text: str) -> str:
        print(text)
        print(text, file=sys.stderr)
        return text

    async def all_at_once() -> list[Any]:
        calls = [
            result_of(bench.executor(), lambda: values, (), bench.task()),
            result_of(bench.executor(), lambda: os.urandom(1) * large, (), bench.task()),
            result_of(speaking, printing, ("ça va, 好 😀",), bench.task()),
            result_of(bench.executor(), len, (bytes(large),), bench.task()),
        ]
        return list(await asyncio.gather(*calls))

    speaking = bench.executor()
    small, much, said, length = asyncio.run(all_at_once())
    assert small == values
    assert len(much) == large
    assert much == much[:1] * large
    assert length == large
    assert said == "ça va, 好 😀"
    assert speaking.task_stdout.getvalue() == speaking.task_stderr.getvalue() == "ça va, 好 😀\n"


# --- failures ---


def test_the_function_raises(bench: TaskBench) -> None:
    def divide(number: int) -> float:
        print("about to divide")
        return number / 0

    executor = bench.executor()
    error = failure_of(bench, executor, divide, 5)
    assert isinstance(error, JobFailedError)
    assert str(error).startswith("Traceback (most recent call last):")
    assert "ZeroDivisionError: division by zero" in str(error)
    assert "in divide" in str(error)
    assert error.details["exception"] == "ZeroDivisionError"
    assert (error.details["attempts"], error.details["exit_code"]) == (1, 1)
    assert executor.task_stdout.getvalue() == "about to divide\n"


def test_the_function_ends_the_program(bench: TaskBench) -> None:
    def leave() -> None:
        sys.exit("no more")

    error = failure_of(bench, bench.executor(), lambda _: leave(), 0)
    assert isinstance(error, JobFailedError)
    assert "SystemExit: no more" in str(error)


def test_the_container_ends_without_a_word(bench: TaskBench) -> None:
    executor = bench.executor("for line in $(seq 30); do echo line $line; done; exit 3", retry_attempts=2)
    error = failure_of(bench, executor)
    assert isinstance(error, JobFailedError)
    first, *rest = str(error).splitlines()
    assert "exited with code 3 after 2 attempts without leaving a result" in first
    assert rest == ["The last lines of its log:", *(f"  line {number}" for number in range(11, 31))]
    assert (error.details["attempts"], error.details["exit_code"]) == (2, 3)


def test_the_job_succeeds_without_a_result(bench: TaskBench) -> None:
    error = failure_of(bench, bench.executor("true"))
    assert isinstance(error, ResultError)
    assert "succeeded but left no result" in str(error)
    assert error.details["bucket"] == BUCKET
    assert error.details["key"] in str(error)
    assert f"s3://{BUCKET}/result-dispatch-" in str(error)


def test_a_job_that_nobody_knows(bench: TaskBench) -> None:
    executor = bench.executor()
    assert asyncio.run(executor.get_status("00000000-0000-0000-0000-000000000000")) == ("VANISHED", -1)
    task = bench.task()
    with pytest.raises(JobFailedError):
        bench.run(bench.executor("exit 3"), max, 1, 2, task=task)
    job_id = bench.ended(task)["jobId"]
    assert asyncio.run(executor.get_status(job_id)) == ("FAILED", 3)


# --- cancellation ---


def test_the_awaiting_task_is_cancelled(bench: TaskBench) -> None:
    task = bench.task()

    async def cancel() -> None:
        running = asyncio.create_task(result_of(bench.executor("exec sleep 60"), max, (1, 2), task))
        await bench.running(task)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(cancel())
    job = bench.ended(task)
    assert job["status"] == "FAILED"
    # On a busy machine the job may run before the answer to its submission has arrived.
    assert job["statusReason"].startswith((CANCEL_REASON, "The task that submitted this job was cancelled"))


def test_covalent_cancels_by_the_jobs_id(bench: TaskBench) -> None:
    task, executor = bench.task(), bench.executor("exec sleep 60")
    bench.cancelled(executor, task)
    job = bench.ended(task)
    assert job["statusReason"] == f"{CANCEL_REASON}: dispatch {task['dispatch_id']}"
    assert job["isTerminated"]


def test_cancelling_what_is_over_or_was_never_submitted(bench: TaskBench) -> None:
    task, executor = bench.task(), bench.executor("exit 3")
    with pytest.raises(JobFailedError):
        bench.run(executor, max, 1, 2, task=task)
    before = bench.ended(task)
    assert asyncio.run(executor.cancel(task, before["jobId"])) is True
    assert bench.ended(task) == before
    assert asyncio.run(executor.cancel(task, None)) is False
