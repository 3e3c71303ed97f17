"""Queues with a scheduling policy: who may submit, and who comes first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.local_account import QUEUE, WAIT_FOR, LocalAccount
from support.processes import poll

SHARED = "shared-queue"


@pytest.fixture
def shared(account: LocalAccount) -> Iterator[str]:
    """A queue in which a job of the share `blue` weighs as much as two of any other."""
    weights = {"shareDistribution": [{"shareIdentifier": "blue", "weightFactor": 2.0}]}
    policy = account.batch.create_scheduling_policy(name="policy", fairsharePolicy=weights)["arn"]
    [queue] = account.batch.describe_job_queues(jobQueues=[QUEUE])["jobQueues"]
    order = queue["computeEnvironmentOrder"]
    account.batch.create_job_queue(
        jobQueueName=SHARED, state="ENABLED", priority=1, computeEnvironmentOrder=order, schedulingPolicyArn=policy
    )
    yield SHARED
    account.batch.update_job_queue(jobQueue=SHARED, state="DISABLED")
    account.batch.delete_job_queue(jobQueue=SHARED)


def submit(account: LocalAccount, queue: str, shell: str = "true", **more: Any) -> str:
    answer = account.batch.submit_job(
        jobName="job",
        jobQueue=queue,
        jobDefinition=account.define(),
        containerOverrides={
            "command": ["sh", "-c", shell],
            "resourceRequirements": [{"type": "VCPU", "value": str(more.pop("vcpus", 1))}],
        },
        **more,
    )
    return str(answer["jobId"])


@pytest.mark.parametrize(
    ("has_policy", "asked", "said"),
    [
        (True, {}, "must be specified for a job queue with"),
        (True, {"schedulingPriorityOverride": 1}, "must be specified for a job queue with"),
        (True, {"shareIdentifier": "blue"}, "schedulingPriority must be in the job definition"),
        (True, {"shareIdentifier": "a-b", "schedulingPriorityOverride": 0}, "letters and digits"),
        (True, {"shareIdentifier": "blue", "schedulingPriorityOverride": 10_000}, "between 0 and 9999"),
        (False, {"shareIdentifier": "blue", "schedulingPriorityOverride": 0}, "must not be specified"),
    ],
)
def test_what_does_not_go_together_is_refused(
    account: LocalAccount, shared: str, has_policy: bool, asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(ClientError, match=said):
        submit(account, shared if has_policy else QUEUE, **asked)


def test_the_share_that_uses_least_comes_first_and_within_it_the_highest_priority(
    account: LocalAccount, shared: str, tmp_path: Path
) -> None:
    go, order = tmp_path / "go", tmp_path / "order"
    submit(account, shared, WAIT_FOR.format(go), vcpus=4, shareIdentifier="red", schedulingPriorityOverride=0)
    asked = [("red", 0), ("red", 5), ("blue", 0), ("blue", 9), ("green", 0)]
    ids = [
        submit(
            account,
            shared,
            f"echo {share}{priority} >> {order}",
            vcpus=4,
            shareIdentifier=share,
            schedulingPriorityOverride=priority,
        )
        for share, priority in asked
    ]
    assert {account.describe(one)["status"] for one in ids} == {"RUNNABLE"}
    described = account.describe(ids[3])
    assert (described["shareIdentifier"], described["schedulingPriority"]) == ("blue", 9)
    go.touch()
    poll(lambda: order.exists() and len(order.read_text().split()) == 5, "five jobs ran")
    # One at a time runs, and when it has ended its share uses nothing: the highest priority of all that wait, then.
    assert order.read_text().split() == ["blue9", "red5", "red0", "blue0", "green0"]


def test_a_share_that_runs_waits_for_those_that_do_not(account: LocalAccount, shared: str, tmp_path: Path) -> None:
    go = tmp_path / "go"
    policy = {"schedulingPriorityOverride": 0}
    running = [submit(account, shared, WAIT_FOR.format(go), shareIdentifier="red", **policy) for _ in range(3)]
    blocked = submit(account, shared, WAIT_FOR.format(go), vcpus=2, shareIdentifier="red", **policy)
    small = submit(account, shared, WAIT_FOR.format(go), shareIdentifier="green", **policy)
    account.wait(small, "RUNNING")
    assert account.describe(blocked)["status"] == "RUNNABLE"
    go.touch()
    assert {account.wait(one)["status"] for one in [*running, blocked, small]} == {"SUCCEEDED"}
