"""The queue and its compute environments: whether they take a job, and whether one fits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from lab import Lab, Queue
from support.doctor import ENVIRONMENT, QUEUE, ask

from covalent_awsbatch_plugin.local import LocalAWS

NAME = f"environment {ENVIRONMENT}"


def test_a_queue_that_is_disabled(aws: LocalAWS, options: dict[str, Any]) -> None:
    aws.client("batch").update_job_queue(jobQueue=QUEUE, state="DISABLED")
    try:
        wrong = ask(options).wrong()
    finally:
        aws.client("batch").update_job_queue(jobQueue=QUEUE, state="ENABLED")
    assert list(wrong) == ["queue"]
    assert f"update-job-queue --job-queue {QUEUE} --state ENABLED" in wrong["queue"]


def test_an_environment_that_is_disabled(aws: LocalAWS, options: dict[str, Any]) -> None:
    batch = aws.client("batch")
    batch.update_compute_environment(computeEnvironment=ENVIRONMENT, state="DISABLED")
    try:
        wrong = ask(options).wrong()
    finally:
        batch.update_compute_environment(computeEnvironment=ENVIRONMENT, state="ENABLED")
    assert list(wrong) == [NAME]
    assert f"update-compute-environment --compute-environment {ENVIRONMENT} --state ENABLED" in wrong[NAME]


@pytest.mark.parametrize(
    ("queue", "said"),
    [
        (
            Queue(environment_status="INVALID", environment_reason="CLIENT_ERROR - role not found"),
            ("ENABLED and INVALID: CLIENT_ERROR - role not found", "mend what the reason says"),
        ),
        (Queue(max_vcpus=1), ("at most 1 vCPUs",)),
    ],
)
def test_an_environment_that_cannot_run_the_job(queue: Queue, said: tuple[str, ...]) -> None:
    with Lab(queues={"lab-queue": queue}) as lab:
        wrong = ask({**lab.options, "container_image_uri": "127.0.0.1:1/jobs:v1"}).wrong()
    assert list(wrong) == ["environment lab-queue-environment"]
    for part in said:
        assert part in wrong["environment lab-queue-environment"]


@pytest.mark.parametrize(
    ("fair_share", "share", "said"),
    [
        (True, {}, "no job without a share is taken → set `share_identifier`"),
        (False, {"share_identifier": "blue"}, "and share_identifier is given → leave `share_identifier` out"),
    ],
)
def test_a_share_and_a_queue_that_do_not_go_together(fair_share: bool, share: dict[str, str], said: str) -> None:
    with Lab(queues={"lab-queue": Queue(fair_share=fair_share)}) as lab:
        assert said in ask({**lab.options, **share}).wrong()["queue"]


def test_a_share_of_a_queue_with_a_policy() -> None:
    with Lab(queues={"lab-queue": Queue(fair_share=True)}) as lab:
        report = ask({**lab.options, "share_identifier": "blue"})
    assert report.found("queue") == "lab-queue is ENABLED and VALID, fair-share"
    assert "queue" not in report.wrong()


def test_each_queue_is_looked_at_that_a_task_may_go_to() -> None:
    with Lab(queues={"lab-queue": Queue(kind="SPOT"), "other": Queue(state="DISABLED")}) as lab:
        assert "--job-queue other --state ENABLED" in ask({**lab.options, "retry_queues": "other"}).wrong()["queue"]
        missing = ask({**lab.options, "retry_queues": "nowhere"}).wrong()["queue"]
    assert "there is no queue nowhere" in missing
    assert "set `retry_queues`" in missing


def test_queues_whose_machines_have_other_processors() -> None:
    queues = {"lab-queue": Queue(instance_types=("m5",)), "arm": Queue(instance_types=("m7g",)), "mixed": Queue()}
    with Lab(queues=queues) as lab:
        options = {**lab.options, "container_image_uri": "127.0.0.1:1/jobs:v1"}
        wrong = ask({**options, "runtime": "bucket", "retry_queues": "arm"}).wrong()["queue"]
        same = ask({**options, "runtime": "bucket", "retry_queues": "mixed"}).wrong()
        in_image = ask({**options, "runtime": "image", "retry_queues": "arm"}).wrong()
    assert "arm has machines of arm64, lab-queue of amd64, and the packages of a task are for one" in wrong
    assert "name queues of amd64 in `retry_queues`" in wrong
    assert (same, in_image) == ({}, {})


def test_a_queue_of_another_platform_for_the_attempts_after_the_first() -> None:
    with Lab(queues={"lab-queue": Queue(kind="SPOT"), "serverless": Queue(kind="FARGATE")}) as lab:
        wrong = ask({**lab.options, "retry_queues": "serverless"}).wrong()["environment"]
    assert "retry_queues has serverless, which is of FARGATE, and the task's first job is for EC2" in wrong


def test_a_platform_that_the_queue_has_not() -> None:
    with Lab(queues={"lab-queue": Queue(kind="FARGATE")}) as lab:
        wrong = ask({**lab.options, "platform": "EC2"}).wrong()["environment lab-queue-environment"]
    assert "never fit: it is FARGATE, and the job is for EC2" in wrong
    assert 'set `platform="FARGATE"` or leave it out' in wrong


def test_several_nodes_on_a_queue_of_spot_machines() -> None:
    with Lab(queues={"lab-queue": Queue(kind="SPOT")}) as lab:
        wrong = ask({**lab.options, "nodes": 3}).wrong()["environment lab-queue-environment"]
    assert "it is SPOT, and AWS Batch runs jobs of several nodes (nodes=3) on EC2 alone" in wrong
    assert "set `batch_queue` to a queue of on-demand instances" in wrong


def test_the_platform_of_the_queue_where_none_is_given() -> None:
    with Lab(queues={"lab-queue": Queue(kind="FARGATE_SPOT")}) as lab:
        report = ask({**lab.options, "vcpu": 0.5, "memory": 1.5})
        wrong = ask({**lab.options, "vcpu": 3}).wrong()
    found = report.found("environment lab-queue-environment")
    assert found.endswith("FARGATE_SPOT, up to 256 vCPUs; a job of vcpu=0.5, memory=2 fits")
    assert "there is vcpu=0.25, 0.5, 1" in wrong["environment"]
    assert "the queue lab-queue is of FARGATE" in wrong["environment"]


def test_one_environment_that_holds_the_job_is_enough(aws: LocalAWS, options: dict[str, Any]) -> None:
    with another_environment(aws, "gpus", "g4dn.xlarge"):
        report = ask({**options, "num_gpus": 1})
    assert (report.code, report.wrong()) == (0, {})
    assert "the job goes to another one of the queue's" in report.found(NAME)
    assert report.found("environment gpus").endswith("num_gpus=1 fits")


def test_one_environment_that_may_hold_the_job_is_not_told(aws: LocalAWS, options: dict[str, Any]) -> None:
    with another_environment(aws, "many-gpus", "g4dn"):
        report = ask({**options, "num_gpus": 1})
    assert (report.code, report.wrong()) == (2, {})
    assert "could not tell whether another one of the queue's does" in report.untold()[NAME]
    assert "could not tell whether a job of" in report.untold()["environment many-gpus"]


@contextmanager
def another_environment(aws: LocalAWS, added: str, instance_type: str) -> Iterator[None]:
    """A second one behind the queue, with machines of one type or family."""
    batch = aws.client("batch")
    (one,) = batch.describe_compute_environments(computeEnvironments=[ENVIRONMENT])["computeEnvironments"]
    other = batch.create_compute_environment(
        computeEnvironmentName=added,
        state="ENABLED",
        type="MANAGED",
        serviceRole=one["serviceRole"],
        computeResources={**one["computeResources"], "instanceTypes": [instance_type]},
    )
    arns = (one["computeEnvironmentArn"], other["computeEnvironmentArn"])
    order = [{"order": number, "computeEnvironment": arn} for number, arn in enumerate(arns)]
    batch.update_job_queue(jobQueue=QUEUE, computeEnvironmentOrder=order)
    try:
        yield
    finally:
        batch.update_job_queue(jobQueue=QUEUE, computeEnvironmentOrder=order[:1])


@pytest.mark.parametrize(
    ("types", "memory", "said"),
    [
        (("optimal",), 300, "could not tell whether a job of vcpu=2, memory=300 fits"),
        (("m5",), 300, "(m5) do not tell"),
        (("i3.xlarge",), 3.75, "(i3.xlarge) do not tell"),
        (("m5.large",), 7.7, "memory=7.7 is close to the limit of m5.large"),
    ],
)
def test_whether_a_job_fits_is_not_said_where_nobody_can_tell(types: tuple[str], memory: float, said: str) -> None:
    with Lab(queues={"lab-queue": Queue(instance_types=types)}) as lab:
        report = ask({**lab.options, "memory": memory, "container_image_uri": "127.0.0.1:1/jobs:v1"})
    assert report.wrong() == {}
    assert said in report.untold()["environment lab-queue-environment"]


def test_a_job_that_asks_for_all_of_a_machines_memory_never_fits() -> None:
    with Lab(queues={"lab-queue": Queue(instance_types=("m5.large",))}) as lab:
        wrong = ask({**lab.options, "memory": 8, "container_image_uri": "127.0.0.1:1/jobs:v1"}).wrong()
    assert "keeps 2 to 10 % for its kernel and the ECS agent" in wrong["environment lab-queue-environment"]


def test_what_aws_is_still_changing_is_neither_well_nor_wrong() -> None:
    with Lab(queues={"lab-queue": Queue(status="UPDATING", environment_status="CREATING")}) as lab:
        report = ask(lab.options)
    assert report.wrong() == {}
    assert report.untold()["queue"].startswith("lab-queue is ENABLED and UPDATING")
    assert "ask again in a minute" in report.untold()["environment lab-queue-environment"]
