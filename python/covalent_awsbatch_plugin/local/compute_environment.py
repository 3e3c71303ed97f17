"""Compute environments and queues of the embedded AWS: extends moto's by what jobs run on there."""

from __future__ import annotations

import json
from typing import Any

from moto.batch.exceptions import ClientException
from moto.batch.models import ComputeEnvironment

from .consumable_calls import ConsumableResponse

_MANAGED = "ECS_MANAGED_INSTANCES"
# https://docs.aws.amazon.com/batch/latest/APIReference/API_JobQueueDetail.html
_QUEUE_TYPES = {"EC2": "ECS", "FARGATE": "ECS_FARGATE", "MANAGED_INSTANCES": _MANAGED}


def platform(environment: ComputeEnvironment) -> str:
    """What the jobs of an environment run on: `EC2`, `FARGATE` or `MANAGED_INSTANCES`."""
    kind = str((environment.compute_resources or {}).get("type", ""))
    return "MANAGED_INSTANCES" if kind == _MANAGED else "FARGATE" if kind.startswith("FARGATE") else "EC2"


class EnvironmentResponse(ConsumableResponse):
    """Answers the calls about them."""

    def createcomputeenvironment(self) -> str:
        """Creates one, also of Managed Instances, of which moto knows nothing."""
        asked = json.loads(self.body)
        resources = asked.get("computeResources") or {}
        if resources.get("type") != _MANAGED:
            return super().createcomputeenvironment()
        # Moto checks their network as that of Fargate, which has no machines either.
        asked["computeResources"] = {"type": "FARGATE", "maxvCpus": resources["maxvCpus"], **_network(resources)}
        self.body = json.dumps(asked)
        answer = super().createcomputeenvironment()
        made = self.batch_backend.get_compute_environment_by_arn(json.loads(answer)["computeEnvironmentArn"])
        assert made is not None
        made.compute_resources = resources
        return answer

    def describecomputeenvironments(self) -> str:
        """Describes compute environments, with who runs their containers."""
        described: dict[str, list[dict[str, Any]]] = json.loads(super().describecomputeenvironments())
        for one in described["computeEnvironments"]:
            one["containerOrchestrationType"] = "ECS"
        return json.dumps(described)

    def describejobqueues(self) -> str:
        """Describes queues, with their type, which is that of their environments."""
        described: dict[str, list[dict[str, Any]]] = json.loads(super().describejobqueues())
        for one in described["jobQueues"]:
            queue = self.batch_backend.get_job_queue(one["jobQueueArn"])
            assert queue is not None
            one["jobQueueType"] = _QUEUE_TYPES[platform(queue.environments[0])]
        return json.dumps(described)


def _network(resources: dict[str, Any]) -> dict[str, Any]:
    try:
        network = resources["managedInstancesProvider"]["instanceLaunchTemplate"]["networkConfiguration"]
        return {"subnets": network["subnets"], "securityGroupIds": network["securityGroups"]}
    except (KeyError, TypeError):
        raise ClientException(
            "managedInstancesProvider.instanceLaunchTemplate.networkConfiguration must be specified for "
            f"compute resources of type {_MANAGED}"
        ) from None
