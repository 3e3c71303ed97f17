"""Tasks whose job has several nodes, on the embedded AWS."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from covalent._shared_files.exceptions import TaskCancelledError
from moto.batch.models import batch_backends
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT_ID
from support.task_bench import BUCKET, TaskBench, result_of
from support.tasks import becomes

from covalent_awsbatch_plugin import nodes
from covalent_awsbatch_plugin.errors import JobFailedError, ResultError
from covalent_awsbatch_plugin.server import handles


def all_reduce() -> Any:
    """A function that adds up a number of each node, over sockets."""

    def total(base: int) -> list[int]:
        import os
        import socket

        own = base + nodes.index()
        place = nodes.main_address(), int(os.environ["MASTER_PORT"])
        if nodes.index():
            nodes.barrier()
            with socket.create_connection(place) as main:
                main.sendall(f"{own}\n".encode())
                return [nodes.index(), int(main.makefile().readline())]
        with socket.create_server(place) as listener:
            nodes.barrier()
            others = [listener.accept()[0] for _ in range(1, nodes.count())]
            summed = own + sum(int(other.makefile().readline()) for other in others)
            for other in others:
                other.sendall(f"{summed}\n".encode())
        return [0, summed]

    return total


def failing(where: int, path: Path | None = None) -> Any:
    """A function that raises on one node, while the others wait for it; only where a file is not there yet."""

    def fail(*_: int) -> str:
        import pathlib

        from covalent_awsbatch_plugin import nodes

        told = pathlib.Path(path) if path else None
        nodes.barrier()
        if nodes.index() == where and not (told and told.exists()):
            if told:
                told.touch()
            raise ArithmeticError(f"node {where} gives up")
        nodes.barrier()
        return "done"

    return fail


def jobs_of(bench: TaskBench, task: dict[str, Any]) -> list[dict[str, Any]]:
    name = f"covalent-batch-{task['dispatch_id']}-{task['node_id']}"
    ids = [job.id for job in bench.aws.jobs() if job.name == name]
    return [bench.batch.describe_jobs(jobs=[one])["jobs"][0] for one in ids]


def test_the_function_runs_on_every_node_and_node_0_has_the_result(bench: TaskBench) -> None:
    task = bench.task()
    assert bench.run(bench.executor(nodes=3), all_reduce(), 10, task=task) == [0, 33]
    job = bench.job(task)
    assert job is not None
    assert (job["nodeProperties"]["numNodes"], job["retryStrategy"]["attempts"]) == (3, 1)


def test_the_result_can_be_a_list_of_what_all_nodes_return(bench: TaskBench) -> None:
    executor = bench.executor(nodes=3, node_results="all")
    assert bench.run(executor, all_reduce(), 1) == [[0, 6], [1, 6], [2, 6]]
    assert bench.run(bench.executor(node_results="all")) == [2], "of a single node, too"


def test_large_results_of_nodes_are_brought_too(bench: TaskBench) -> None:
    def large(*_: int) -> bytes:
        return bytes([nodes.index()]) * 9_000_000

    found = bench.run(bench.executor(nodes=2, node_results="all"), large)
    assert [(len(one), one[-1]) for one in found] == [(9_000_000, 0), (9_000_000, 1)]


def test_one_definition_serves_every_number_of_nodes(bench: TaskBench) -> None:
    name = "nodes-of-any-number"
    for count in (2, 3):
        bench.run(bench.executor(nodes=count, batch_job_definition_name=name))
    assert len(bench.revisions(name)) == 1


def test_a_node_that_raises_ends_the_job_with_its_own_traceback(bench: TaskBench) -> None:
    task, executor = bench.task(), bench.executor(nodes=3)
    with pytest.raises(JobFailedError, match="ArithmeticError: node 2 gives up") as caught:
        bench.run(executor, failing(2), task=task)
    [job] = jobs_of(bench, task)
    assert f"That was node 2 of the 3 of job {job['jobId']}" in str(caught.value)
    details = caught.value.details
    assert (details["job_id"], details["node"], details["cause"]) == (job["jobId"], 2, "exception")
    assert job["status"] == "FAILED"
    assert executor.task_stderr.getvalue().endswith(f"{caught.value}\n")


def test_a_node_that_loses_its_host_is_named(bench: TaskBench) -> None:
    instead = '[ "$AWS_BATCH_JOB_NODE_INDEX" = 2 ] && kill -9 $PPID; exec sleep 60'
    task = bench.task()
    with pytest.raises(JobFailedError, match=r"Node 2 of job \S+ lost the machine it ran on") as caught:
        bench.run(bench.executor(instead, nodes=3), task=task)
    assert (caught.value.details["cause"], caught.value.details["node"]) == ("host_lost", 2)
    [job] = jobs_of(bench, task)
    assert job["isTerminated"]
    assert job["statusReason"].endswith("node 2")


def test_where_the_main_node_fails_because_of_another_one_that_one_is_told_of(bench: TaskBench) -> None:
    # The sweeps are a second apart, so that the main node mostly meets with it first.
    with pytest.raises(JobFailedError, match="ArithmeticError: node 1 gives up") as caught:
        bench.run(bench.executor(nodes=2, poll_freq=10), failing(1))
    assert caught.value.details["node"] == 1


def test_the_main_nodes_own_failure_is_the_jobs(bench: TaskBench) -> None:
    with pytest.raises(JobFailedError, match="ArithmeticError: node 0 gives up") as caught:
        bench.run(bench.executor(nodes=2), failing(0))
    assert "node" not in caught.value.details


def test_the_failure_of_a_node_is_followed_by_another_attempt(bench: TaskBench, tmp_path: Path) -> None:
    task = bench.task()
    executor = bench.executor(nodes=3, node_results="all", retry_attempts=3, poll_freq=0.2, s3_cleanup="always")
    assert bench.run(executor, failing(2, tmp_path / "told"), task=task) == ["done"] * 3
    assert jobs_of(bench, task)[-1]["status"] == "SUCCEEDED"
    assert bench.keys(task) == []


def test_a_node_fails_as_often_as_there_are_attempts(bench: TaskBench) -> None:
    instead = '[ "$AWS_BATCH_JOB_NODE_INDEX" = 1 ] && kill -9 $PPID; exec sleep 60'
    task = bench.task()
    with pytest.raises(JobFailedError, match="Node 1 of job"):
        bench.run(bench.executor(instead, nodes=2, retry_attempts=3, retry_on="infrastructure"), task=task)
    jobs = jobs_of(bench, task)
    assert [job["retryStrategy"]["attempts"] for job in jobs] == [3, 2, 1]
    assert {job["status"] for job in jobs} == {"FAILED"}


def test_an_exception_on_a_node_is_not_repeated_if_only_machines_are_to_be(bench: TaskBench) -> None:
    task = bench.task()
    with pytest.raises(JobFailedError, match="node 1 gives up"):
        bench.run(bench.executor(nodes=2, retry_attempts=3, retry_on="infrastructure"), failing(1), task=task)
    assert len(jobs_of(bench, task)) == 1


def test_an_exception_is_one_where_the_jobs_end_came_before_that_of_the_nodes_container(bench: TaskBench) -> None:
    """The main node misses the other one's process at once, and ends the job, while that one's container runs on."""
    lingering = """
        [ "$AWS_BATCH_JOB_NODE_INDEX" = 0 ] && exec "$1" -m covalent_awsbatch_plugin.runner
        "$1" -m covalent_awsbatch_plugin.runner
        exec sleep 60
    """
    task = bench.task()
    executor = bench.executor(lingering, nodes=2, retry_attempts=3, retry_on="infrastructure", poll_freq=10)
    with pytest.raises(JobFailedError, match="node 1 gives up"):
        bench.run(executor, failing(1), task=task)
    [job] = jobs_of(bench, task)
    [node] = bench.batch.describe_jobs(jobs=[f"{job['jobId']}#1"])["jobs"]
    assert not node["statusReason"].startswith("Essential container")


CAPACITY = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - All compute environments have insufficient capacity."


def meeting(path: Path, timeout: float | None = None) -> Any:
    """A function whose nodes meet, and note that they began."""

    def meet(*_: int) -> str:
        import pathlib
        import uuid

        from covalent_awsbatch_plugin import nodes

        (pathlib.Path(path) / f"{nodes.index()}-{uuid.uuid4().hex}").touch()
        nodes.barrier(timeout)
        return "met"

    return meet


def began(path: Path) -> list[str]:
    """The numbers of the nodes that began."""
    return sorted(file.name.partition("-")[0] for file in path.iterdir())


@pytest.mark.parametrize("starting", [False, True])
def test_a_node_that_does_not_begin_to_run_ends_the_job(bench: TaskBench, tmp_path: Path, starting: bool) -> None:
    task, executor = bench.task(), bench.executor(nodes=3, runnable_timeout=1)
    state, said = ("STARTING", "its container is not up") if starting else ("RUNNABLE", "more instance types")
    with (
        bench.aws.node_held(2, None if starting else CAPACITY, starting=starting),
        pytest.raises(JobFailedError, match=f"Node 2 of the 3 of job .* did not run: it was still {state} ") as caught,
    ):
        bench.run(executor, meeting(tmp_path), task=task)
    assert said in str(caught.value)
    assert "runnable_timeout=1 s" in str(caught.value)
    assert (CAPACITY.rstrip(".") in str(caught.value)) is not starting
    details = caught.value.details
    assert (details["cause"], details["node"]) == ("never_started", 2)
    [job] = jobs_of(bench, task)
    assert (job["status"], job["isTerminated"], details["job_id"]) == ("FAILED", True, job["jobId"])
    assert f"node 2: it was still {state}" in job["statusReason"]
    assert "2" not in began(tmp_path)
    assert executor.task_stderr.getvalue().endswith(f"{caught.value}\n")


def test_a_node_that_does_not_begin_to_run_is_followed_by_another_attempt(bench: TaskBench, tmp_path: Path) -> None:
    """Also where exceptions are not to be tried again: it is AWS that has no machine."""
    task = bench.task()
    executor = bench.executor(nodes=2, runnable_timeout=2, retry_attempts=5, retry_on="infrastructure")

    async def held_once() -> Any:
        with bench.aws.node_held(1, CAPACITY):
            running = asyncio.create_task(result_of(executor, meeting(tmp_path), (1, 2), task))
            await becomes(lambda: any(job["status"] == "FAILED" for job in jobs_of(bench, task)))
        return await running

    assert asyncio.run(held_once()) == "met"
    first, *_, last = jobs_of(bench, task)
    assert (first["status"], last["status"]) == ("FAILED", "SUCCEEDED")
    assert "1" in began(tmp_path)


def test_the_main_nodes_own_timeout_does_not_hide_the_node_that_is_missing(bench: TaskBench, tmp_path: Path) -> None:
    task = bench.task()
    with (
        bench.aws.node_held(1, CAPACITY),
        pytest.raises(JobFailedError, match=r"Node 1 of the 2 .* had not begun when .* with TimeoutError") as caught,
    ):
        bench.run(bench.executor(nodes=2, runnable_timeout=500), meeting(tmp_path, 0.5), task=task)
    assert (caught.value.details["cause"], caught.value.details["node"]) == ("never_started", 1)
    [job] = jobs_of(bench, task)
    assert "isTerminated" not in job or not job["isTerminated"]


def test_the_main_node_is_not_missing_where_it_began_a_little_before_its_job(bench: TaskBench, tmp_path: Path) -> None:
    task, executor = bench.task(), bench.executor(nodes=2, runnable_timeout=500)

    async def begins_earlier() -> None:
        running = asyncio.create_task(result_of(executor, meeting(tmp_path, 2), (1, 2), task))
        job_id = await bench.running(task)
        [backend] = [one for one in batch_backends[ACCOUNT_ID].values() if job_id in one._jobs]
        job = backend._jobs[job_id]
        job.nodes[0].started_at = job.started_at - 1  # as AWS's records may say, too
        await running

    with (
        bench.aws.node_held(1, CAPACITY),
        pytest.raises(JobFailedError, match=r"Node 1 of the 2 .* had not begun when .* with TimeoutError"),
    ):
        asyncio.run(begins_earlier())


def test_a_connection_that_the_main_node_has_lost_elsewhere_is_its_own_failure(bench: TaskBench) -> None:
    """The other node runs, and is being stopped."""

    def lose(*_: int) -> None:
        import time

        nodes.barrier()
        if nodes.index():
            time.sleep(60)
        raise ConnectionResetError("the database has gone")

    with pytest.raises(JobFailedError, match="the database has gone") as caught:
        bench.run(bench.executor(nodes=2), lose)
    assert "node" not in caught.value.details


def test_without_the_option_a_node_may_take_its_time(bench: TaskBench, tmp_path: Path) -> None:
    task, executor = bench.task(), bench.executor(nodes=2)

    async def held_for_a_while() -> Any:
        with bench.aws.node_held(1, CAPACITY):
            running = asyncio.create_task(result_of(executor, meeting(tmp_path), (1, 2), task))
            await bench.running(task)
            await asyncio.sleep(1.5)
            assert not running.done()
        return await running

    assert asyncio.run(held_for_a_while()) == "met"


def test_what_an_ended_server_saw_of_a_node_is_told_by_the_next_one(bench: TaskBench, tmp_path: Path) -> None:
    """The job's own reason says it: the node's record does not any more."""
    task, executor = bench.task(), bench.executor(nodes=2, runnable_timeout=1, retry_attempts=1)

    async def poll_again() -> None:
        job_id = jobs_of(bench, task)[0]["jobId"]
        await bench.executor(nodes=2, retry_attempts=1)._poll_task(job_id, task["dispatch_id"], task["node_id"])

    with bench.aws.node_held(1, CAPACITY), pytest.raises(JobFailedError) as first:
        bench.run(executor, meeting(tmp_path), task=task)
    with pytest.raises(JobFailedError) as second:
        asyncio.run(poll_again())
    assert str(second.value) == str(first.value)


def test_a_cancellation_ends_all_nodes_and_no_other_attempt_follows(bench: TaskBench) -> None:
    task, executor = bench.task(), bench.executor("exec sleep 60", nodes=3, retry_attempts=3)

    async def cancelled() -> None:
        running = asyncio.create_task(result_of(executor, max, (1, 2), task))
        job_id = await bench.running(task)
        executor.get_cancel_requested = requested  # type: ignore[method-assign]
        assert await executor.cancel(task, job_id)
        await running

    async def requested() -> bool:
        return True

    with pytest.raises(TaskCancelledError):
        asyncio.run(cancelled())
    [job] = jobs_of(bench, task)
    ids = [f"{job['jobId']}#{index}" for index in range(3)]
    deadline = time.monotonic() + 30
    while {node["status"] for node in bench.batch.describe_jobs(jobs=ids)["jobs"]} != {"FAILED"}:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_job_that_a_former_server_submitted_is_watched_with_its_nodes(bench: TaskBench) -> None:
    task, executor = bench.task(), bench.executor("exec sleep 60", nodes=2)

    async def submitted() -> str:
        await executor._upload_task(max, [1, 2], {}, task)
        await executor.submit_task(task)
        return await bench.running(task)

    async def taken_over(job_id: str) -> None:
        await executor._poll_task(job_id, task["dispatch_id"], task["node_id"])

    job_id = asyncio.run(submitted())
    bench.batch.terminate_job(jobId=f"{job_id}#1", reason="somebody's mistake")
    with pytest.raises(JobFailedError, match=r"Node 1 of job .* was terminated: somebody's mistake"):
        asyncio.run(taken_over(job_id))


def test_the_newest_job_of_a_former_server_is_taken_up(bench: TaskBench) -> None:
    """It was killed after it had submitted that one, and before it told Covalent; the job has ended since."""
    task, executor = bench.task(), bench.executor(nodes=2, node_results="all", retry_attempts=2)

    def all_ended() -> bool:
        return {job["status"] for job in jobs_of(bench, task)} <= {"SUCCEEDED", "FAILED"}

    async def submitted() -> str:
        await executor._upload_task(max, [1, 2], {}, task)
        first: str = await executor.submit_task(task)
        bench.batch.terminate_job(jobId=first, reason="One of its nodes has failed")
        await becomes(all_ended)
        await executor.submit_task({**task, "attempts_before": 1})
        await becomes(all_ended)
        return first

    handles.expect(task["dispatch_id"], task["node_id"], asyncio.run(submitted()))
    assert bench.run(executor, task=task) == [2, 2]
    assert len(jobs_of(bench, task)) == 2


def test_a_planted_result_of_a_node_is_refused(bench: TaskBench) -> None:
    task, executor = bench.task(), bench.executor(nodes=2, node_results="all")
    key = f"result-{task['dispatch_id']}-{task['node_id']}.node-1.attempt-1.pkl"
    bench.run(executor, task=task)
    left = bench.s3.get_object(Bucket=BUCKET, Key=key)
    wrong = {**left["Metadata"], "covalent-awsbatch-signature": "00" * 32}
    bench.s3.put_object(Bucket=BUCKET, Key=key, Body=left["Body"].read(), Metadata=wrong)
    [job] = jobs_of(bench, task)
    with pytest.raises(ResultError, match="was refused: the task's job did not write it"):
        asyncio.run(executor.query_result({**task, "job_id": job["jobId"]}))
