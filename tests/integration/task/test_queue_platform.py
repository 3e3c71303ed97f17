"""What a job runs on where nobody said it: what its queue has."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from lab import Lab, Queue
from support.queues import add_queue
from support.servers import Answer, Request
from support.task_bench import TaskBench, result_of

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.errors import SettingsError
from covalent_awsbatch_plugin.options.settings import Settings

LOOK_UPS = ("/v1/describejobqueues", "/v1/describecomputeenvironments")


def look_ups(bench: TaskBench, queue: str) -> list[str]:
    """The calls that asked about a queue or about an environment of its name."""
    return [one.path for one in bench.requests if one.path in LOOK_UPS and queue in one.body.decode()]


def capabilities(bench: TaskBench, task: dict[str, Any]) -> Any:
    return bench.ended(task)["platformCapabilities"]


def test_tasks_run_on_what_their_queue_has_which_is_asked_once(bench: TaskBench) -> None:
    queue = add_queue(bench.aws, "serverless")
    tasks = [bench.task() for _ in range(3)]

    async def all_at_once() -> list[int]:
        executors = [bench.executor(batch_queue=queue, vcpu=0.5, memory=1.5) for _ in tasks]
        jobs = [result_of(executor, max, (1, 2), task) for executor, task in zip(executors, tasks, strict=True)]
        return await asyncio.gather(*jobs)

    assert asyncio.run(all_at_once()) == [2, 2, 2]
    assert [capabilities(bench, task) for task in tasks] == [["FARGATE"]] * 3
    asked = bench.ended(tasks[0])["container"]["resourceRequirements"]
    assert {one["type"]: one["value"] for one in asked} == {"VCPU": "0.5", "MEMORY": "2048"}, "a size of Fargate's"
    assert look_ups(bench, queue) == ["/v1/describejobqueues"]


def test_what_was_given_is_not_asked_for(bench: TaskBench) -> None:
    queue = add_queue(bench.aws, "given")
    task = bench.task()
    executor = bench.executor(batch_queue=queue, platform="FARGATE", vcpu=1, memory=2)
    assert bench.run(executor, max, 1, 2, task=task) == 2
    assert capabilities(bench, task) == ["FARGATE"]
    assert look_ups(bench, queue) == []


def test_without_the_right_to_ask_it_is_ec2_and_the_log_says_so(
    bench: TaskBench, caplog: pytest.LogCaptureFixture
) -> None:
    [described] = bench.batch.describe_job_queues(jobQueues=["covalent-batch-queue"])["jobQueues"]
    queue = described["jobQueueArn"]

    def denied(request: Request) -> Answer | None:
        if request.path != LOOK_UPS[0]:
            return None
        body = b'{"__type": "AccessDeniedException", "message": "no"}'
        return Answer(body, 403, {"x-amzn-errortype": "AccessDeniedException"})

    bench.instead = denied
    tasks = [bench.task(), bench.task()]
    with caplog.at_level(logging.WARNING):
        # By its ARN: by its name another test may have asked.
        assert [bench.run(bench.executor(batch_queue=queue), max, 1, 2, task=task) for task in tasks] == [2, 2]
    assert [capabilities(bench, task) for task in tasks] == [["EC2"]] * 2
    assert look_ups(bench, queue) == ["/v1/describejobqueues"], "who lacks the right lacks it for the next task, too"
    [said] = [record.getMessage() for record in caplog.records if "are made for EC2" in record.getMessage()]
    assert "batch:DescribeJobQueues" in said


def test_an_option_that_the_queues_platform_has_not_is_refused_before_anything_is_uploaded(bench: TaskBench) -> None:
    queue = add_queue(bench.aws, "no-gpus")
    task = bench.task()
    with pytest.raises(SettingsError) as caught:
        bench.run(bench.executor(batch_queue=queue, num_gpus=1), max, 1, 2, task=task)
    assert "there are no GPUs on Fargate, and num_gpus=1" in str(caught.value)
    assert "Nobody gave platform, and the queue no-gpus is of FARGATE." in str(caught.value)
    assert (bench.job(task), bench.keys(task)) == (None, [])


@pytest.mark.parametrize("platform", ["", "EC2"])
def test_a_queue_of_another_platform_for_later_attempts_is_refused_before_anything_is_uploaded(
    bench: TaskBench, platform: str
) -> None:
    queue = add_queue(bench.aws, f"later-{platform or 'unsaid'}")
    task = bench.task()
    with pytest.raises(SettingsError) as caught:
        bench.run(bench.executor(retry_queues=[queue], platform=platform), task=task)
    assert f"retry_queues has {queue}, which is of FARGATE, and the task's first job is for EC2" in str(caught.value)
    assert (bench.job(task), bench.keys(task)) == (None, [])


def test_a_queue_for_later_attempts_that_nobody_can_look_at_is_taken(bench: TaskBench) -> None:
    queue = add_queue(bench.aws, "first")
    executor = bench.executor(batch_queue=queue, retry_queues=["not-there"], vcpu=1, memory=2)
    assert bench.run(executor, max, 1, 2) == 2


@pytest.mark.parametrize(
    ("queue", "platform"),
    [
        (Queue(), "EC2"),
        (Queue(kind="SPOT"), "EC2"),
        (Queue(kind="FARGATE_SPOT"), "FARGATE"),
        (Queue(kind="ECS_MANAGED_INSTANCES"), "MANAGED_INSTANCES"),
        (Queue(kind="SPOT", orchestration="EKS"), "EKS"),
    ],
)
def test_a_queue_without_a_type_has_that_of_its_environment(queue: Queue, platform: str) -> None:
    """As AWS described queues before 2025, and compatible services do."""

    async def ask(lab: Lab) -> list[str | None]:
        client = Client(Settings(**lab.options).connection())
        return await asyncio.gather(*(client.queue_platform("lab-queue") for _ in range(2)))

    with Lab(queues={"lab-queue": queue}) as lab:
        assert asyncio.run(ask(lab)) == [platform, platform]
        assert len(lab.calls("DescribeJobQueues")) == len(lab.calls("DescribeComputeEnvironments")) == 1


def test_a_queue_that_nobody_can_look_at_is_asked_about_again(caplog: pytest.LogCaptureFixture) -> None:
    async def ask(lab: Lab, *queues: str) -> list[str | None]:
        client = Client(Settings(**lab.options).connection())
        return [await client.queue_platform(queue) for queue in queues]

    with Lab(queues={"lab-queue": Queue(kind="FARGATE")}) as lab, caplog.at_level(logging.WARNING):
        assert asyncio.run(ask(lab, "not-there", "not-there", "lab-queue")) == [None, None, "FARGATE"]
        assert len(lab.calls("DescribeJobQueues")) == 3
    assert "there is no queue not-there in region" in caplog.text
