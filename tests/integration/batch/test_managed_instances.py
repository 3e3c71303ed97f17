"""Jobs on ECS Managed Instances: how they are described, what they may ask for, and what AWS refuses."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.doctor import ask
from support.queues import add_queue, managed_instances
from support.task_bench import TaskBench

from covalent_awsbatch_plugin.errors import AWSBatchError


def queue_of(bench: TaskBench, name: str, *types: str) -> str:
    return add_queue(bench.aws, name, managed_instances(bench.aws, *types))


def test_a_task_runs_there_as_an_ecs_task(bench: TaskBench) -> None:
    queue, task = queue_of(bench, "managed"), bench.task()
    executor = bench.executor(batch_queue=queue, vcpu=0.5, memory=1.5, architecture="ARM64", shared_memory=0.5)
    assert bench.run(executor, max, 1, 2, task=task) == 2
    job = bench.ended(task)
    assert job["platformCapabilities"] == ["MANAGED_INSTANCES"]
    [described] = job["ecsProperties"]["taskProperties"]
    assert described["runtimePlatform"] == {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"}
    assert not {"networkConfiguration", "platformVersion", "ephemeralStorage"} & described.keys()
    [container] = described["containers"]
    assert container["linuxParameters"] == {"sharedMemorySize": 512}
    asked = {one["type"]: one["value"] for one in container["resourceRequirements"]}
    assert asked == {"VCPU": "0.5", "MEMORY": "1536"}, "of any size, unlike on Fargate"


def test_a_task_that_fails_there_says_why(bench: TaskBench) -> None:
    queue = queue_of(bench, "failing")
    with pytest.raises(AWSBatchError, match="exited with code 3") as caught:
        bench.run(bench.executor("echo a last word; exit 3", batch_queue=queue))
    assert "a last word" in str(caught.value)


def test_a_job_for_machines_of_ones_own_is_refused_with_what_to_do(bench: TaskBench) -> None:
    queue = queue_of(bench, "not-mine")
    with pytest.raises(AWSBatchError, match="is ECS_MANAGED_INSTANCES: set `platform` to MANAGED_INSTANCES"):
        bench.run(bench.executor(batch_queue=queue, platform="EC2"))


def test_a_container_that_is_no_task_is_refused(bench: TaskBench) -> None:
    resources = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "512"}]
    definition: dict[str, Any] = {"jobDefinitionName": "d", "type": "container"}
    definition["platformCapabilities"] = ["MANAGED_INSTANCES"]
    container = {"name": "default", "image": "i", "resourceRequirements": resources}
    with pytest.raises(ClientError, match="must use ecsProperties"):
        bench.batch.register_job_definition(
            **definition, containerProperties={"image": "i", "resourceRequirements": resources}
        )
    task = {"containers": [container], "networkConfiguration": {"assignPublicIp": "ENABLED"}}
    with pytest.raises(ClientError, match="networkConfiguration must not be specified"):
        bench.batch.register_job_definition(**definition, ecsProperties={"taskProperties": [task]})


@pytest.mark.parametrize(
    ("types", "fits"),
    [((), True), (("m5.large",), True), (("t3.nano",), False)],
)
def test_the_doctor_knows_its_machines(bench: TaskBench, types: tuple[str, ...], fits: bool) -> None:
    queue = queue_of(bench, f"examined-{len(types)}-{fits}", *types)
    report = ask({**bench.aws.options, "batch_queue": queue})
    found = report.found(f"environment {queue}")
    assert ("ECS_MANAGED_INSTANCES, up to 4 vCPUs; a job of vcpu=2, memory=3.75 fits" in found) == fits, found
