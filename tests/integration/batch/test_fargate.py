"""Jobs on Fargate, over HTTP: their definitions, their sizes, and a queue of the other kind."""

from __future__ import annotations

import asyncio
import io
import operator
from collections.abc import Iterator
from typing import Any

import pytest

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.errors import AWSBatchError
from covalent_awsbatch_plugin.local import LocalAWS

QUEUE = "serverless"


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAWS]:
    with LocalAWS(max_vcpus=4, stop_grace=1) as aws:
        batch, subnets = aws.client("batch"), aws.client("ec2").describe_subnets()["Subnets"]
        groups = aws.client("ec2").describe_security_groups()["SecurityGroups"]
        resources = {
            "type": "FARGATE_SPOT",
            "maxvCpus": 4,
            "subnets": [subnets[0]["SubnetId"]],
            "securityGroupIds": [groups[0]["GroupId"]],
        }
        [machines] = batch.describe_compute_environments()["computeEnvironments"]
        batch.create_compute_environment(
            computeEnvironmentName=QUEUE,
            type="MANAGED",
            state="ENABLED",
            computeResources=resources,
            serviceRole=machines["serviceRole"],
        )
        batch.create_job_queue(
            jobQueueName=QUEUE,
            state="ENABLED",
            priority=1,
            computeEnvironmentOrder=[{"order": 1, "computeEnvironment": QUEUE}],
        )
        yield aws


def run(aws: LocalAWS, dispatch: str, **options: Any) -> Any:
    executor = AWSBatchExecutor(**{**aws.options, "container_image_uri": "team/jobs:1", "poll_freq": 0.2, **options})
    executor._task_stdout, executor._task_stderr = io.StringIO(), io.StringIO()
    executor.set_job_handle = _nothing  # type: ignore[method-assign]
    executor.get_cancel_requested = _nothing  # type: ignore[method-assign]
    task = {"dispatch_id": dispatch, "node_id": 0}
    return asyncio.run(executor.run(operator.add, [2, 3], {}, task)).get_deserialized()


async def _nothing(*_: Any, **__: Any) -> None:
    """No Covalent server runs here."""


def test_a_task_runs_on_fargate(aws: LocalAWS) -> None:
    name = "on-fargate"
    options = {"batch_queue": QUEUE, "platform": "FARGATE", "batch_job_definition_name": name}
    assert run(aws, "first", **options, vcpu=0.5, memory=1.5) == 5
    assert run(aws, "second", **options) == 5
    assert run(aws, "third", **options, assign_public_ip=False, ephemeral_storage=50) == 5
    revisions = aws.client("batch").describe_job_definitions(jobDefinitionName=name)["jobDefinitions"]
    first, third = sorted(revisions, key=operator.itemgetter("revision"))
    assert first["platformCapabilities"] == third["platformCapabilities"] == ["FARGATE"]
    assert first["containerProperties"]["networkConfiguration"] == {"assignPublicIp": "ENABLED"}
    assert first["containerProperties"]["fargatePlatformConfiguration"] == {"platformVersion": "LATEST"}
    assert first["containerProperties"].get("ephemeralStorage") is None
    assert third["containerProperties"]["networkConfiguration"] == {"assignPublicIp": "DISABLED"}
    assert third["containerProperties"]["ephemeralStorage"] == {"sizeInGiB": 50}
    assert first["containerProperties"].get("runtimePlatform") is None
    ids = [job.id for job in aws.jobs()]
    jobs = aws.client("batch").describe_jobs(jobs=ids)["jobs"]
    asked = {
        tuple(resource["value"] for resource in job["container"]["resourceRequirements"])
        for job in jobs
        if job["jobQueue"].endswith(QUEUE)
    }
    assert asked == {("0.5", "2048"), ("2", "4096")}


def test_a_job_asks_for_graviton(aws: LocalAWS) -> None:
    name = "on-graviton"
    options = {"batch_queue": QUEUE, "platform": "FARGATE", "architecture": "ARM64", "vcpu": 0.5, "memory": 1}
    assert run(aws, name, **options, batch_job_definition_name=name) == 5
    [revision] = aws.client("batch").describe_job_definitions(jobDefinitionName=name)["jobDefinitions"]
    asked = revision["containerProperties"]["runtimePlatform"]
    assert asked == {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"}


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"platform": "FARGATE"}, "is EC2: set `platform` to EC2"),
        ({"batch_queue": QUEUE, "platform": "EC2"}, "is FARGATE_SPOT: set `platform` to FARGATE"),
    ],
)
def test_a_queue_of_the_other_kind_is_named_with_what_to_do(
    aws: LocalAWS, options: dict[str, Any], advice: str
) -> None:
    with pytest.raises(AWSBatchError, match=advice):
        run(aws, "wrong", **options)
