"""A task in a share of a queue with a scheduling policy."""

from __future__ import annotations

import pytest
from support.task_bench import TaskBench

from covalent_awsbatch_plugin.errors import ServiceError

SHARED = "shared-queue"


def test_a_task_takes_its_share(bench: TaskBench) -> None:
    policy = bench.batch.create_scheduling_policy(name="policy", fairsharePolicy={})["arn"]
    [queue] = bench.batch.describe_job_queues()["jobQueues"]
    bench.batch.create_job_queue(
        jobQueueName=SHARED,
        state="ENABLED",
        priority=1,
        computeEnvironmentOrder=queue["computeEnvironmentOrder"],
        schedulingPolicyArn=policy,
    )
    task = bench.task()
    executor = bench.executor(batch_queue=SHARED, share_identifier="blue", scheduling_priority=7)
    assert bench.run(executor, max, 1, 2, task=task) == 2
    job = bench.ended(task)
    assert (job["shareIdentifier"], job["schedulingPriority"]) == ("blue", 7)
    task = bench.task()
    assert bench.run(bench.executor(batch_queue=SHARED, share_identifier="blue"), max, 1, 2, task=task) == 2
    assert bench.ended(task)["schedulingPriority"] == 0, "which such a queue demands"
    with pytest.raises(ServiceError, match="set `share_identifier`"):
        bench.run(bench.executor(batch_queue=SHARED), max, 1, 2)
    assert "shareIdentifier" not in bench.requests[-1].body.decode()
