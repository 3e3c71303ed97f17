"""The next job of a task: with more memory, or in another queue, and never one too many."""

from __future__ import annotations

import asyncio
import io
import json
import uuid
from typing import Any

import pytest
from covalent._shared_files.exceptions import TaskCancelledError
from covalent.executor.utils import Signals
from lab import Lab, Queue, endings, faults
from lab.control import JobView
from support.tasks import becomes, becomes_by_itself, dispatcher

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.errors import AccessError, JobFailedError
from covalent_awsbatch_plugin.server import handles

SPOT = {"lab-queue": Queue(kind="SPOT"), "on-demand": Queue()}
FARGATE_SPOT = {"lab-queue": Queue(kind="FARGATE_SPOT"), "on-demand": Queue(kind="FARGATE")}


def executor_of(lab: Lab, kind: Any = AWSBatchExecutor, **options: Any) -> Any:
    executor = kind(**{**lab.options, "poll_freq": 0.2, "retry_memory_factor": 2, **options})
    executor._task_stdout, executor._task_stderr = io.StringIO(), io.StringIO()
    return executor


def run(executor: Any, metadata: dict[str, Any]) -> Any:
    return asyncio.run(executor.run(len, ["x"], {}, metadata)).get_deserialized()


def jobs(lab: Lab, metadata: dict[str, Any]) -> list[JobView]:
    return lab.jobs(f"covalent-batch-{metadata['dispatch_id']}-*")


def memory(job: JobView) -> int:
    resources = job.submitted["containerOverrides"]["resourceRequirements"]
    return next(int(one["value"]) for one in resources if one["type"] == "MEMORY")


def queue(job: JobView) -> str:
    return str(job.submitted["jobQueue"]).rpartition("/")[2]


def allowed(job: JobView) -> int:
    return int(job.submitted["retryStrategy"]["attempts"])


@pytest.mark.lab(endings={"*": endings.takes_memory(10_000)})
@pytest.mark.parametrize("retry_on", ["any", "infrastructure"])
def test_a_job_that_is_killed_for_want_of_memory_is_followed_by_a_larger_one(
    lab: Lab, metadata: dict[str, Any], retry_on: str
) -> None:
    executor, told = executor_of(lab, retry_on=retry_on), []

    async def ran() -> Any:
        def answer(kind: Any, body: Any) -> Any:
            told.append(json.loads(body[1]) if kind == Signals.PUT else None)
            return kind == Signals.PUT

        async with dispatcher(executor, answer):
            return (await executor.run(len, ["x"], {}, metadata)).get_deserialized()

    result = asyncio.run(ran())
    first, second, third = jobs(lab, metadata)
    assert result == first.name == second.name == third.name
    assert [memory(job) for job in (first, second, third)] == [3840, 7680, 15360]
    assert [allowed(job) for job in (first, second, third)] == [3, 2, 1]
    assert [job.attempts for job in (first, second, third)] == [1, 1, 1]
    previous = [job.environment.get("COVALENT_AWSBATCH_PREVIOUS_JOB") for job in (first, second, third)]
    assert previous == [None, first.id, second.id], "commands find the earlier jobs so"
    assert [one for one in told if one] == [first.id, second.id, third.id], "Covalent cancels the one that runs"
    said = executor._task_stderr.getvalue()
    assert f"Job {first.id} was killed because it took more memory than the 3.75 GB" in said
    assert f"Job {second.id} was killed because it took more memory than the 7.5 GB" in said
    assert "Tried again with 15 GB in queue lab-queue: 1 of 3 attempts left." in said


@pytest.mark.lab(endings={"*": endings.takes_memory(100_000)})
def test_all_attempts_are_no_more_than_was_asked_for(lab: Lab, metadata: dict[str, Any]) -> None:
    with pytest.raises(JobFailedError, match=r"more memory than the 7\.5 GB it had asked for"):
        run(executor_of(lab, retry_attempts=2), metadata)
    assert [memory(job) for job in jobs(lab, metadata)] == [3840, 7680]


@pytest.mark.lab(endings={"*": endings.exited(137)})
def test_a_container_that_was_killed_without_a_word_counts_as_one_without_memory(
    lab: Lab, metadata: dict[str, Any]
) -> None:
    """Where the kernel ends the function and not the container, AWS does not always say so."""
    with pytest.raises(JobFailedError, match="code 137"):
        run(executor_of(lab), metadata)
    assert [memory(job) for job in jobs(lab, metadata)] == [3840, 7680, 15360]


@pytest.mark.lab(endings={"*": endings.takes_memory(10_000)})
def test_without_the_option_the_same_job_is_tried_again(lab: Lab, metadata: dict[str, Any]) -> None:
    with pytest.raises(JobFailedError, match="after 3 attempts"):
        run(executor_of(lab, retry_memory_factor=1), metadata)
    assert [(memory(job), job.attempts) for job in jobs(lab, metadata)] == [(3840, 3)]


@pytest.mark.lab(endings={"*": endings.raised()})
def test_an_exception_makes_no_job_larger(lab: Lab, metadata: dict[str, Any]) -> None:
    with pytest.raises(JobFailedError, match="1 is too few"):
        run(executor_of(lab), metadata)
    assert [(memory(job), job.attempts) for job in jobs(lab, metadata)] == [(3840, 3)]


@pytest.mark.lab(
    endings={"*": endings.takes_memory(100_000)}, queues={"lab-queue": Queue(instance_types=("m5.large",))}
)
def test_no_job_is_larger_than_what_a_machine_surely_has(lab: Lab, metadata: dict[str, Any]) -> None:
    """Of the 8 GiB of an m5.large some is Linux's and the agent's. A job that fits nowhere would wait for ever."""
    with pytest.raises(JobFailedError, match="more memory than"):
        run(executor_of(lab, retry_attempts=9), metadata)
    sizes = [memory(job) for job in jobs(lab, metadata)]
    assert len(sizes) == 2
    assert 7000 < sizes[1] < 7680


@pytest.mark.lab(
    endings={"*": endings.takes_memory(100_000)}, queues={"lab-queue": Queue(instance_types=("m5.large",))}
)
def test_a_queue_that_may_not_be_looked_at_bounds_nothing(lab: Lab, metadata: dict[str, Any]) -> None:
    lab.faults(faults.denied("DescribeJobQueues"))
    with pytest.raises(JobFailedError):
        run(executor_of(lab, retry_attempts=2), metadata)
    assert [memory(job) for job in jobs(lab, metadata)] == [3840, 7680]


@pytest.mark.lab(endings={"*": endings.takes_memory(100_000)}, queues={"lab-queue": Queue(kind="FARGATE")})
def test_on_fargate_it_is_the_next_size_that_goes_with_the_vcpus(lab: Lab, metadata: dict[str, Any]) -> None:
    options = {"platform": "FARGATE", "vcpu": 1, "memory": 3, "retry_attempts": 9, "retry_memory_factor": 1.5}
    with pytest.raises(JobFailedError, match="more memory than the 8 GB"):
        run(executor_of(lab, **options), metadata)
    assert [memory(job) for job in jobs(lab, metadata)] == [3072, 5120, 8192]


@pytest.mark.lab(endings={"*": endings.spot_in("lab-queue")}, queues=SPOT)
def test_after_a_lost_machine_the_next_job_goes_to_the_next_queue(lab: Lab, metadata: dict[str, Any]) -> None:
    executor = executor_of(lab, retry_queues=["on-demand"])
    assert run(executor, metadata) == jobs(lab, metadata)[0].name
    assert [(queue(job), job.attempts, allowed(job)) for job in jobs(lab, metadata)] == [
        ("lab-queue", 1, 3),
        ("on-demand", 1, 2),
    ]
    assert "lost the machine it ran on" in executor._task_stderr.getvalue()
    assert "in queue on-demand: 2 of 3 attempts left." in executor._task_stderr.getvalue()


@pytest.mark.parametrize(
    ("lost", "platform"),
    [
        pytest.param(endings.spot_reclaim(), "EC2", marks=pytest.mark.lab(queues=SPOT)),
        pytest.param(endings.fargate_spot_reclaim(), "FARGATE", marks=pytest.mark.lab(queues=FARGATE_SPOT)),
    ],
)
def test_in_the_last_queue_batch_itself_tries_again(
    lab: Lab, metadata: dict[str, Any], lost: endings.Ending, platform: str
) -> None:
    lab.choose("*", lost)
    options = {"platform": platform, "memory": 4, "retry_queues": ["on-demand"], "retry_attempts": 4}
    with pytest.raises(JobFailedError, match="lost the machine it ran on after 3 attempts"):
        run(executor_of(lab, **options), metadata)
    assert [(queue(job), job.attempts) for job in jobs(lab, metadata)] == [("lab-queue", 1), ("on-demand", 3)]


@pytest.mark.lab(endings={"*": endings.spot_in("lab-queue")}, queues=SPOT)
def test_what_is_said_of_a_job_that_may_go_on_names_its_own_queue(lab: Lab, metadata: dict[str, Any]) -> None:
    class Mistaken(AWSBatchExecutor):  # type: ignore[misc]  # covalent ships no types
        async def query_result(self, task_metadata: dict[str, Any]) -> Any:
            raise KeyError(task_metadata["node_id"])

    lab.faults(faults.denied("TerminateJob"))
    for _ in ("first", "resumed"):
        executor = executor_of(lab, Mistaken, retry_queues=["on-demand"])
        with pytest.raises(KeyError):
            run(executor, metadata)
        first, second = jobs(lab, metadata)
        assert f"Job {second.id} may go on in queue on-demand: " in executor._task_stderr.getvalue()
        handles.expect(metadata["dispatch_id"], metadata["node_id"], first.id)
    handles.take(metadata)


@pytest.mark.lab(endings={"*": endings.takes_memory(5_000)})
def test_a_job_that_an_earlier_server_has_submitted_is_found_whichever_it_is(
    lab: Lab, metadata: dict[str, Any]
) -> None:
    """Covalent was told of the first job only, before the server ended."""
    result = run(executor_of(lab), metadata)
    known = [job.id for job in jobs(lab, metadata)]
    assert len(known) == 2
    for told in (known[0], known[1], ""):
        handles.expect(metadata["dispatch_id"], metadata["node_id"], told)
        assert run(executor_of(lab), metadata) == result
    assert [job.id for job in jobs(lab, metadata)] == known


@pytest.mark.lab(endings={"*": endings.spot_in("lab-queue")}, queues=SPOT)
def test_it_is_found_in_another_queue(lab: Lab, metadata: dict[str, Any]) -> None:
    result = run(executor_of(lab, retry_queues=["on-demand"]), metadata)
    handles.expect(metadata["dispatch_id"], metadata["node_id"], jobs(lab, metadata)[0].id)
    assert run(executor_of(lab, retry_queues=["on-demand"]), metadata) == result
    assert len(jobs(lab, metadata)) == 2


@pytest.mark.lab(endings={"*": endings.takes_memory(5_000)})
def test_a_server_goes_on_with_a_job_that_was_to_be_followed(lab: Lab, metadata: dict[str, Any]) -> None:
    with pytest.raises(JobFailedError):
        run(executor_of(lab, retry_attempts=1), metadata)
    (first,) = jobs(lab, metadata)
    handles.expect(metadata["dispatch_id"], metadata["node_id"], first.id)
    with pytest.raises(JobFailedError):
        run(executor_of(lab), metadata)
    assert len(jobs(lab, metadata)) == 1, "that job had the one attempt that was asked for"
    again = {**metadata, "dispatch_id": str(uuid.uuid4())}
    lab.faults(faults.denied("SubmitJob", at=(3,)))
    with pytest.raises(AccessError):
        run(executor_of(lab), again)
    (first,) = jobs(lab, again)
    lab.faults()
    handles.expect(again["dispatch_id"], again["node_id"], first.id)
    run(executor_of(lab), again)
    assert [memory(job) for job in jobs(lab, again)] == [3840, 7680]


@pytest.mark.lab(endings={"*": endings.takes_memory(5_000)})
def test_where_jobs_may_not_be_listed_nothing_is_submitted_twice(lab: Lab, metadata: dict[str, Any]) -> None:
    run(executor_of(lab), metadata)
    first, _ = jobs(lab, metadata)
    lab.faults(faults.denied("ListJobs"))
    handles.expect(metadata["dispatch_id"], metadata["node_id"], first.id)
    with pytest.raises(AccessError, match="not submitted a second time"):
        run(executor_of(lab), metadata)
    assert len(jobs(lab, metadata)) == 2


@pytest.mark.lab(endings={"*": endings.takes_memory(5_000)})
@pytest.mark.parametrize("fault", [faults.drop("SubmitJob", acts=True, at=(2,)), faults.drop("SubmitJob", at=(2,))])
def test_an_answer_that_is_lost_makes_no_second_job(lab: Lab, metadata: dict[str, Any], fault: Any) -> None:
    lab.faults(fault)
    run(executor_of(lab), metadata)
    assert [memory(job) for job in jobs(lab, metadata)] == [3840, 7680]


@pytest.mark.lab(endings={"*": endings.takes_memory(5_000)})
@pytest.mark.parametrize("answers", [4, 5])
def test_a_task_that_was_cancelled_meanwhile_has_no_next_job(lab: Lab, metadata: dict[str, Any], answers: int) -> None:
    """As its job ends, and before the next one."""
    executor, asked = executor_of(lab), []

    async def cancelled() -> None:
        def answer(kind: Any, body: Any) -> Any:
            asked.append(body)
            return kind == Signals.PUT or len(asked) > answers

        async with dispatcher(executor, answer):
            with pytest.raises(TaskCancelledError):
                await executor.run(len, ["x"], {}, metadata)

    asyncio.run(cancelled())
    assert len(jobs(lab, metadata)) == 1


@pytest.mark.lab(endings={"*": endings.runs_for_ever()})
@pytest.mark.parametrize("by", ["covalent", "asyncio"])
def test_the_job_that_runs_is_the_one_that_is_cancelled(lab: Lab, metadata: dict[str, Any], by: str) -> None:
    async def cancelled() -> None:
        running = asyncio.ensure_future(executor_of(lab).run(len, ["x"], {}, metadata))
        await becomes(lambda: jobs(lab, metadata))
        lab.end("*", endings.out_of_memory())
        await becomes(lambda: len(jobs(lab, metadata)) == 2)
        if by == "asyncio":
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        else:
            assert await executor_of(lab).cancel(metadata, jobs(lab, metadata)[1].id) is True
            with pytest.raises(TaskCancelledError):
                await running

    asyncio.run(cancelled())
    becomes_by_itself(lambda: [job.is_terminated for job in jobs(lab, metadata)] == [False, True])


@pytest.mark.lab(endings={"*": endings.takes_memory(5_000)})
def test_a_subclass_that_submits_in_its_own_way_has_one_job(lab: Lab, metadata: dict[str, Any]) -> None:
    class Own(AWSBatchExecutor):  # type: ignore[misc]  # covalent ships no types
        async def submit_task(self, task_metadata: dict[str, Any], identity: Any = None) -> str:
            return str(await super().submit_task(task_metadata, identity))

    with pytest.raises(JobFailedError, match="more memory"):
        run(executor_of(lab, Own), metadata)
    assert len(jobs(lab, metadata)) == 1
