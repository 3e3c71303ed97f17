"""Whoever goes away, and whenever: a job that was submitted is terminated, or it is known and will be found."""

from __future__ import annotations

import asyncio
import itertools
import json
import multiprocessing
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from lab import Lab, endings, faults
from lab.control import JobView
from lab.faults import Fault
from support.tasks import becomes, becomes_by_itself, executor_of, only_job

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.server import presence

LARGE = bytes(17 * 1024 * 1024)  # goes out in parts


# Jobs run until they are terminated.
pytestmark = pytest.mark.lab(endings={"*": endings.runs_for_ever()})


AtOnce = dict[tuple[Any, ...], "Future[Any]"]


@contextmanager
def at_once(function: Callable[..., Any], cases: Iterable[tuple[Any, ...]], threads: int = 16) -> Iterator[AtOnce]:
    """What a function returns for each case; most of the time all of them wait."""
    with ThreadPoolExecutor(threads) as pool:
        yield {case: pool.submit(function, *case) for case in cases}


# --- the asyncio task is cancelled ---

Moment = tuple[str, Sequence[Fault], Any]
"""The call under way when the task is cancelled, what happens to it, and the task's argument."""

BEFORE: dict[str, Moment] = {
    "at the first call": ("GetCallerIdentity", [faults.hang("GetCallerIdentity", times=1)], 0),
    "during a small upload": ("PutObject", [faults.hang("PutObject", times=1)], 0),
    "after a small upload": ("PutObject", [faults.hang("PutObject", acts=True, times=1)], 0),
    "as a large upload begins": (
        "CreateMultipartUpload",
        [faults.latency(0.5, operation="CreateMultipartUpload")],
        LARGE,
    ),
    "during a large upload": ("UploadPart", [faults.hang("UploadPart", times=1)], LARGE),
    "before a large upload is complete": (
        "CompleteMultipartUpload",
        [faults.hang("CompleteMultipartUpload", times=1)],
        LARGE,
    ),
    "after a large upload is complete": (
        "CompleteMultipartUpload",
        [faults.hang("CompleteMultipartUpload", acts=True, times=1)],
        LARGE,
    ),
}


@pytest.mark.parametrize("moment", BEFORE)
def test_a_task_that_is_cancelled_before_its_job_leaves_none(lab: Lab, metadata: dict[str, Any], moment: str) -> None:
    call, script, argument = BEFORE[moment]
    lab.faults(*script)

    async def cancelled() -> None:
        running = asyncio.ensure_future(executor_of(lab).run(len, [argument], {}, metadata))
        await becomes(lambda: lab.counts[call])
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await becomes(lambda: not lab.uploads())

    asyncio.run(cancelled())
    assert lab.jobs() == []
    assert lab.counts["SubmitJob"] == 0


DURING: dict[str, tuple[str, list[Fault], int]] = {
    "while earlier jobs are looked for": ("ListJobs", [faults.latency(0.5, operation="ListJobs")], 0),
    "while the definition is registered": (
        "RegisterJobDefinition",
        [faults.latency(0.5, operation="RegisterJobDefinition")],
        0,
    ),
    "as it is submitted": ("SubmitJob", [faults.latency(0.5, operation="SubmitJob")], 1),
    "as it is submitted, and the answer is lost": ("SubmitJob", [faults.drop("SubmitJob", acts=True, times=1)], 1),
    "as it is submitted, and the request is lost": ("SubmitJob", [faults.drop("SubmitJob", times=1)], 0),
    "while it waits": ("DescribeJobs", [], 1),
    "while it waits, and its termination is lost": (
        "DescribeJobs",
        [faults.drop("TerminateJob", times=1), faults.throttle("TerminateJob", times=2)],
        1,
    ),
}
"""The call under way when the task is cancelled, what happens to calls, and how many jobs come to exist."""

LOOP = ["goes on", "ends", "ends in that very step"]


def cancelled_during(moment: str, loop: str) -> tuple[list[JobView], Counter[str]]:
    """The jobs and the calls of a task that is cancelled at this moment, and its loop then does this."""
    call, script, count = DURING[moment]
    with Lab(endings={"*": endings.runs_for_ever()}, faults=script) as lab:

        def is_settled() -> bool:
            # After the request was lost, the name is looked for four times.
            looked = count or lab.counts["ListJobs"] >= (5 if call == "SubmitJob" else 1)
            return bool(looked) and len(lab.jobs()) >= count and all(job.is_terminated for job in lab.jobs())

        async def cancelled() -> None:
            metadata = {"dispatch_id": str(uuid.uuid4()), "node_id": 0}
            running = asyncio.ensure_future(executor_of(lab).run(len, ["x"], {}, metadata))
            await becomes(lambda: lab.counts[call])
            running.cancel()
            if loop == "ends in that very step":
                return
            with pytest.raises(asyncio.CancelledError):
                await running
            if loop == "goes on":
                await becomes(is_settled)
                await asyncio.sleep(0 if count else 2)  # none comes later either

        asyncio.run(cancelled())
        becomes_by_itself(is_settled)
        time.sleep(0 if count else 2)
        return lab.jobs(), lab.counts


@pytest.fixture(scope="module")
def during() -> Iterator[AtOnce]:
    with at_once(cancelled_during, itertools.product(DURING, LOOP)) as found:
        yield found


@pytest.mark.parametrize("loop", LOOP)
@pytest.mark.parametrize("moment", DURING)
def test_a_job_whose_task_is_cancelled_is_terminated(during: AtOnce, moment: str, loop: str) -> None:
    jobs, counts = during[moment, loop].result()
    assert [job.is_terminated for job in jobs] == [True] * DURING[moment][2]
    assert counts["SubmitJob"] <= 2


def test_a_task_that_is_cancelled_as_its_submission_is_answered_leaves_no_job(
    lab: Lab, metadata: dict[str, Any]
) -> None:
    """The id has arrived in the loop, and the task has not taken it yet."""

    async def cancelled() -> None:
        executor = executor_of(lab)
        await executor._validate_credentials()
        await executor._upload_task(len, ["x"], {}, metadata)
        submitting: Any = asyncio.ensure_future(executor.submit_task(metadata))
        while not ((answer := submitting._fut_waiter) and answer.done()):  # noqa: ASYNC110
            await asyncio.sleep(0)
        submitting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await submitting

    asyncio.run(cancelled())
    becomes_by_itself(lambda: only_job(lab, metadata).is_terminated)


def test_a_submission_whose_loop_is_gone_leaves_no_job(lab: Lab, metadata: dict[str, Any]) -> None:
    gone = asyncio.new_event_loop()

    async def begin() -> Any:
        executor = executor_of(lab)
        await executor._validate_credentials()
        await executor._upload_task(len, ["x"], {}, metadata)
        submitting = asyncio.ensure_future(executor.submit_task(metadata))
        await asyncio.sleep(0)
        return submitting

    lab.faults(faults.latency(0.5, operation="SubmitJob"))
    nobody_waits = gone.run_until_complete(begin())
    gone.close()
    becomes_by_itself(lambda: [job.is_terminated for job in lab.jobs(f"*{metadata['dispatch_id']}*")] == [True])
    assert not nobody_waits.done()


def test_a_task_that_is_cancelled_twice_terminates_its_job(lab: Lab, metadata: dict[str, Any]) -> None:
    lab.faults(faults.latency(0.5, operation="TerminateJob"))

    async def cancelled() -> None:
        running = asyncio.ensure_future(executor_of(lab).run(len, ["x"], {}, metadata))
        for call in ("DescribeJobs", "TerminateJob"):
            await becomes(lambda call=call: lab.counts[call])
            running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(cancelled())
    becomes_by_itself(lambda: only_job(lab, metadata).is_terminated)


@pytest.mark.parametrize("acts", [True, False])
def test_a_task_that_is_cancelled_while_it_downloads_leaves_a_job_that_is_over(
    lab: Lab, metadata: dict[str, Any], acts: bool
) -> None:
    lab.choose("*", endings.succeed())
    lab.faults(faults.hang("GetObject", acts=acts))

    async def cancelled() -> None:
        running = asyncio.ensure_future(executor_of(lab).run(len, ["x"], {}, metadata))
        await becomes(lambda: lab.counts["GetObject"])
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(cancelled())
    assert only_job(lab, metadata).status == "SUCCEEDED"


# --- the interpreter ends ---

PROGRAM = """
    import asyncio, json, sys
    from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor

    options, metadata = map(json.loads, sys.argv[1:])

    async def task():
        running = asyncio.ensure_future(AWSBatchExecutor(**options, poll_freq=1).run(len, ["x"], {}, metadata))
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        assert not running.done(), running

    if metadata["tidy"]:
        asyncio.run(task())  # which cancels what is left
    else:
        asyncio.new_event_loop().run_until_complete(task())
"""


def leave(lab: Lab, metadata: dict[str, Any], call: str, how: str) -> None:
    """Runs a task in a program of its own, which ends while this call is under way."""
    arguments = [json.dumps(lab.options), json.dumps({**metadata, "tidy": how == "tidily"})]
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), *arguments], stdin=subprocess.PIPE, text=True
    ) as program:
        becomes_by_itself(lambda: lab.counts[call] or program.poll() is not None)
        if how == "killed":
            program.kill()
        program.communicate("\n", timeout=60)
    assert program.returncode == (-signal.SIGKILL if how == "killed" else 0)


def left_during(call: str, how: str) -> tuple[str, list[JobView], Counter[str]]:
    """The dispatch, its jobs and the calls, where a program ends so during this call."""
    script = [faults.latency(0.5, operation=call)]
    metadata = {"dispatch_id": str(uuid.uuid4()), "node_id": 0}
    with Lab(endings={"*": endings.runs_for_ever()}, faults=script) as lab:
        leave(lab, metadata, call, how)
        return metadata["dispatch_id"], lab.jobs(), lab.counts


@pytest.fixture(scope="module")
def left() -> Iterator[AtOnce]:
    cases = itertools.product(["SubmitJob", "DescribeJobs"], ["tidily", "abruptly", "killed"])
    # Two at a time: at its end an interpreter waits some seconds for what is under way, and no longer.
    with at_once(left_during, cases, threads=2) as found:
        yield found


@pytest.mark.parametrize("call", ["SubmitJob", "DescribeJobs"])
def test_a_program_that_ends_tidily_terminates_its_job(left: AtOnce, call: str) -> None:
    _, (job,), counts = left[call, "tidily"].result()
    assert job.is_terminated
    assert counts["SubmitJob"] == 1


@pytest.mark.parametrize("how", ["abruptly", "killed"])
@pytest.mark.parametrize("call", ["SubmitJob", "DescribeJobs"])
def test_a_job_of_a_program_that_is_gone_is_known_as_an_orphan(left: AtOnce, call: str, how: str) -> None:
    """It goes on; that nobody waits for it is what `covalent-awsbatch jobs --orphans` goes by."""
    dispatch_id, (job,), counts = left[call, how].result()
    assert counts["SubmitJob"] == 1
    waiting = presence.waiting()
    assert job.is_terminated or dispatch_id in waiting.dead
    assert dispatch_id not in waiting.living


def test_a_run_after_a_crash_adopts_the_job_that_is_left(lab: Lab, metadata: dict[str, Any]) -> None:
    leave(lab, metadata, "DescribeJobs", "killed")
    job = only_job(lab, metadata)

    async def again() -> Any:
        running = asyncio.ensure_future(executor_of(lab).run(len, ["x"], {}, metadata))
        before = lab.counts["DescribeJobs"]
        await becomes(lambda: lab.counts["DescribeJobs"] > before)
        lab.end(job.id, endings.succeed())
        return (await running).get_deserialized()

    assert asyncio.run(again()) == job.name
    assert only_job(lab, metadata).id == job.id


# --- the process forks ---


def _task_of_its_own(lab_options: dict[str, Any], metadata: dict[str, Any]) -> None:
    result = asyncio.run(AWSBatchExecutor(**lab_options, poll_freq=1).run(len, ["x"], {}, metadata))
    assert result.get_deserialized() == f"covalent-batch-{metadata['dispatch_id']}-{metadata['node_id']}"


def test_a_forked_process_leaves_its_parents_job_alone(lab: Lab, metadata: dict[str, Any]) -> None:
    own = {**metadata, "node_id": 1}
    name, childs_name = (f"covalent-batch-{metadata['dispatch_id']}-{node}" for node in (0, 1))
    lab.choose(childs_name, endings.succeed())

    async def forked() -> Any:
        running = asyncio.ensure_future(executor_of(lab).run(len, ["x"], {}, metadata))
        await becomes(lambda: lab.counts["DescribeJobs"])
        child = multiprocessing.get_context("fork").Process(target=_in_a_thread, args=(lab.options, own))
        child.start()
        await asyncio.to_thread(child.join)
        assert child.exitcode == 0
        assert [job.status for job in lab.jobs(childs_name)] == ["SUCCEEDED"]
        (job,) = lab.jobs(name)
        assert not job.is_terminated
        lab.end(name, endings.succeed())
        return (await running).get_deserialized()

    assert asyncio.run(forked()) == name


def _in_a_thread(lab_options: dict[str, Any], metadata: dict[str, Any]) -> None:
    """In the child of a process with a running loop, which a thread of its own knows nothing of."""
    with ThreadPoolExecutor(1) as threads:
        threads.submit(_task_of_its_own, lab_options, metadata).result()
