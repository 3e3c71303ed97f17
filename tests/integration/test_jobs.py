"""The executor without Covalent's server: its `run` against an embedded AWS that really runs the jobs."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import logging
import os
import pickle
import re
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from covalent._shared_files.exceptions import TaskCancelledError
from covalent.executor.utils import Signals
from support.processes import python
from support.servers import HttpServer
from support.signing import forward_signed

pytest.importorskip("moto.server")

from covalent_awsbatch_plugin._core import CANCEL_REASON
from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.errors import AWSBatchError, JobFailedError, ResultError
from covalent_awsbatch_plugin.local import LocalAWS
from covalent_awsbatch_plugin.options.settings import OPTIONS
from covalent_awsbatch_plugin.server import questions

BUCKET = "covalent-batch-job-resources"
# The runner, unless the job's environment says what to run instead.
PROGRAM = [
    *("sh", "-c", 'if [ "$INSTEAD" ]; then eval "$INSTEAD"; else exec "$1" -m covalent_awsbatch_plugin.runner; fi'),
    *("sh", "{python}"),
]
MIB = 1024 * 1024

Function = Callable[..., Any]


class Bench:
    """An embedded AWS behind a proxy that records what the executor asks.

    Args:
        aws: The embedded AWS.
        proxy: The proxy, whose URL the executors get as their endpoint.
    """

    def __init__(self, aws: LocalAWS, proxy: HttpServer) -> None:
        self.aws = aws
        self.requests = proxy.requests
        self.batch = aws.client("batch")
        self.s3 = aws.client("s3")
        self._numbers = itertools.count()
        self._options = {**aws.options, "endpoint_url": proxy.url, "vcpu": 1, "memory": 0.5, "poll_freq": 0.2}

    def executor(self, instead: str = "", **options: Any) -> AWSBatchExecutor:
        """An executor as it is while a task runs.

        Args:
            instead: What the shell runs in place of the runner.
            **options: Of the executor.
        """
        environment = {"INSTEAD": instead} if instead else {}
        options = {**self._options, "retry_attempts": 1, "environment": environment, **options}
        executor = AWSBatchExecutor(**options)
        executor._task_stdout, executor._task_stderr = io.StringIO(), io.StringIO()
        return executor

    def task(self) -> dict[str, Any]:
        """The metadata of a task that nobody has run yet."""
        return {"dispatch_id": f"dispatch-{next(self._numbers)}", "node_id": 7}

    def run(self, executor: AWSBatchExecutor, function: Function, *args: Any, **more: Any) -> Any:
        """Runs a call in an event loop of its own and returns the bare result."""
        return asyncio.run(result_of(executor, function, args, more.pop("task", None) or self.task()))

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


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with (
        LocalAWS(max_vcpus=8, program=PROGRAM, stop_grace=1.0) as aws,
        HttpServer(forward_signed(aws)) as proxy,
    ):
        yield Bench(aws, proxy)


def failure_of(bench: Bench, executor: AWSBatchExecutor, function: Function = max, *args: Any) -> AWSBatchError:
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


# --- job definitions ---


def test_twenty_tasks_at_once(bench: Bench) -> None:
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


def test_another_process_takes_the_same_revision(bench: Bench) -> None:
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


def test_a_deregistered_revision_is_replaced(bench: Bench) -> None:
    executor = bench.executor("exit 3", batch_job_definition_name="deregistered")
    failure_of(bench, executor)
    [first] = bench.revisions("deregistered")
    bench.batch.deregister_job_definition(jobDefinition=first["jobDefinitionArn"])
    assert isinstance(failure_of(bench, executor), JobFailedError)
    [second] = bench.revisions("deregistered")
    assert second["jobDefinitionArn"] != first["jobDefinitionArn"]


def test_what_is_common_makes_a_revision_and_what_is_the_jobs_own_does_not(bench: Bench) -> None:
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


def test_results_of_all_sizes(bench: Bench) -> None:
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


def test_the_function_raises(bench: Bench) -> None:
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


def test_the_function_ends_the_program(bench: Bench) -> None:
    def leave() -> None:
        sys.exit("no more")

    error = failure_of(bench, bench.executor(), lambda _: leave(), 0)
    assert isinstance(error, JobFailedError)
    assert "SystemExit: no more" in str(error)


def test_the_container_ends_without_a_word(bench: Bench) -> None:
    executor = bench.executor("for line in $(seq 30); do echo line $line; done; exit 3", retry_attempts=2)
    error = failure_of(bench, executor)
    assert isinstance(error, JobFailedError)
    first, *rest = str(error).splitlines()
    assert "exited with code 3 after 2 attempts without leaving a result" in first
    assert rest == ["The last lines of its log:", *(f"  line {number}" for number in range(11, 31))]
    assert (error.details["attempts"], error.details["exit_code"]) == (2, 3)


def test_the_job_succeeds_without_a_result(bench: Bench) -> None:
    error = failure_of(bench, bench.executor("true"))
    assert isinstance(error, ResultError)
    assert "succeeded but left no result" in str(error)
    assert error.details["bucket"] == BUCKET
    assert error.details["key"] in str(error)
    assert f"s3://{BUCKET}/result-dispatch-" in str(error)


def test_a_job_that_nobody_knows(bench: Bench) -> None:
    executor = bench.executor()
    assert asyncio.run(executor.get_status("00000000-0000-0000-0000-000000000000")) == ("VANISHED", -1)
    task = bench.task()
    with pytest.raises(JobFailedError):
        bench.run(bench.executor("exit 3"), max, 1, 2, task=task)
    job_id = bench.ended(task)["jobId"]
    assert asyncio.run(executor.get_status(job_id)) == ("FAILED", 3)


# --- cancellation ---


def test_the_awaiting_task_is_cancelled(bench: Bench) -> None:
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


def test_covalent_cancels_by_the_jobs_id(bench: Bench) -> None:
    task, executor = bench.task(), bench.executor("exec sleep 60")

    async def cancel() -> None:
        running = asyncio.create_task(result_of(executor, max, (1, 2), task))
        job_id = await bench.running(task)
        assert await bench.executor().cancel(task, job_id) is True
        with pytest.raises(TaskCancelledError, match=job_id):
            await running

    asyncio.run(cancel())
    job = bench.ended(task)
    assert job["statusReason"] == f"{CANCEL_REASON}: dispatch {task['dispatch_id']}, node 7"
    assert job["isTerminated"]


def test_cancelling_what_is_over_or_was_never_submitted(bench: Bench) -> None:
    task, executor = bench.task(), bench.executor("exit 3")
    with pytest.raises(JobFailedError):
        bench.run(executor, max, 1, 2, task=task)
    before = bench.ended(task)
    assert asyncio.run(executor.cancel(task, before["jobId"])) is True
    assert bench.ended(task) == before
    assert asyncio.run(executor.cancel(task, None)) is False


# --- the dispatcher's answers ---


Listener = Callable[[AWSBatchExecutor], Coroutine[Any, Any, None]]


async def listening(executor: AWSBatchExecutor, listener: Listener, work: Coroutine[Any, Any, Any]) -> Any:
    """Does what is to be done while a listener answers the executor, as it is under Covalent's server."""
    executor._init_runtime(loop=asyncio.get_running_loop())
    listens = asyncio.create_task(listener(executor))
    try:
        return await work
    finally:
        listens.cancel()
        await asyncio.gather(listens, return_exceptions=True)


class Dispatcher:
    """Answers questions and notes them.

    Args:
        cancelled_from: Number of the question, from 0, from which on the task is cancelled.
    """

    def __init__(self, cancelled_from: int = sys.maxsize) -> None:
        self.questions: list[tuple[Signals, Any]] = []
        self._cancelled_from = cancelled_from

    async def listen(self, executor: AWSBatchExecutor) -> None:
        while True:
            question = await executor._send_queue.get()
            is_cancelled = len(self.questions) >= self._cancelled_from
            self.questions.append(question)
            executor._recv_queue.put_nowait((True, is_cancelled if question[0] == Signals.GET else True))


def test_the_dispatcher_is_told_the_jobs_id(bench: Bench) -> None:
    dispatcher, task, executor = Dispatcher(), bench.task(), bench.executor()
    assert asyncio.run(listening(executor, dispatcher.listen, result_of(executor, max, (1, 2), task))) == 2
    told = [body for signal, body in dispatcher.questions if signal == Signals.PUT]
    assert told == [("job_handle", json.dumps(bench.ended(task)["jobId"]))]


@pytest.mark.parametrize("moment", [0, 1, 2, 3])
def test_a_cancellation_is_seen_at_every_step(bench: Bench, moment: int) -> None:
    """Before the upload, before the submission, and after the job's id was told."""
    dispatcher, task, executor = Dispatcher(moment), bench.task(), bench.executor("exec sleep 60")
    with pytest.raises(TaskCancelledError):
        asyncio.run(listening(executor, dispatcher.listen, result_of(executor, max, (1, 2), task)))
    signals = [signal for signal, _ in dispatcher.questions]
    if moment < 2:
        assert signals == [Signals.GET] * (moment + 1)
        assert len(bench.keys(task)) == moment
        assert bench.job(task) is None
    else:
        assert signals == [Signals.GET, Signals.GET, Signals.PUT, Signals.GET]
        assert bench.ended(task)["statusReason"].startswith(CANCEL_REASON)


def test_a_late_answer_is_not_taken_for_the_next_questions(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    executor = bench.executor()
    monkeypatch.setattr(questions, "PATIENCE", 0.1)

    async def late(executor: AWSBatchExecutor) -> None:
        """Answers the first question, with yes, only when the second is there."""
        await executor._send_queue.get()
        await executor._send_queue.get()
        executor._recv_queue.put_nowait((True, True))
        executor._recv_queue.put_nowait((True, False))
        while True:
            question = await executor._send_queue.get()
            executor._recv_queue.put_nowait((True, question[1]))

    async def ask() -> None:
        assert await executor.get_cancel_requested() is False
        monkeypatch.setattr(questions, "PATIENCE", 30)
        assert await executor.get_cancel_requested() is False
        assert await executor.set_job_handle("the job") == ("job_handle", '"the job"')
        assert await executor.get_cancel_requested() is True

    with caplog.at_level(logging.WARNING, logger="covalent_awsbatch_plugin"):
        asyncio.run(listening(executor, late, ask()))
    assert [message for message in caplog.messages if "Going on without knowing" in message]


def test_answers_that_come_never(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "PATIENCE", 0.05)
    executor = bench.executor()

    async def nobody(_: AWSBatchExecutor) -> None:
        await asyncio.Event().wait()

    assert asyncio.run(listening(executor, nobody, result_of(executor, max, (1, 2), bench.task()))) == 2


def test_a_listener_that_fails(bench: Bench) -> None:
    executor = bench.executor()
    asked = []

    async def fail(executor: AWSBatchExecutor) -> None:
        asked.append(await executor._send_queue.get())
        executor._recv_queue.put_nowait((False, None))

    async def run() -> Any:
        result = await result_of(executor, max, (1, 2), bench.task())
        assert executor._send_queue.empty()  # nobody would hear more questions
        return result

    assert asyncio.run(listening(executor, fail, run())) == 2
    assert asked == [(Signals.GET, "cancel_requested")]
