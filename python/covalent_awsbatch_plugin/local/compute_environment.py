"""Compute environments and queues of the embedded AWS: extends moto's by what jobs run on there."""

from __future__ import annotations

import json
from typing import Any

from moto.batch.exceptions import ClientException

from .consumable_calls import ConsumableResponse
from .platforms import MANAGED, QUEUE_TYPES, eks_configuration, platform


class EnvironmentResponse(ConsumableResponse):
    """Answers the calls about them."""

    def createcomputeenvironment(self) -> str:
        """Creates one, also on EKS or of Managed Instances, of which moto knows nothing."""
        asked = json.loads(self.body)
        resources, cluster = asked.get("computeResources") or {}, asked.get("eksConfiguration")
        if resources.get("type") == MANAGED:
            # Moto checks their network as that of Fargate, which has no machines either.
            asked["computeResources"] = {"type": "FARGATE", "maxvCpus": resources["maxvCpus"], **_network(resources)}
            self.body = json.dumps(asked)
        if cluster and resources.get("type") not in ("EC2", "SPOT", None):
            kind = resources["type"]
            raise ClientException(f"Compute resources on Amazon EKS must be of type EC2 or SPOT, not {kind}")
        answer = super().createcomputeenvironment()
        made = self.batch_backend.get_compute_environment_by_arn(json.loads(answer)["computeEnvironmentArn"])
        assert made is not None
        made.compute_resources = resources or made.compute_resources
        vars(made)["eks_configuration"] = cluster
        return answer

    def describecomputeenvironments(self) -> str:
        """Describes compute environments, with who runs their containers."""
        described: dict[str, list[dict[str, Any]]] = json.loads(super().describecomputeenvironments())
        for one in described["computeEnvironments"]:
            made = self.batch_backend.get_compute_environment_by_arn(one["computeEnvironmentArn"])
            assert made is not None
            cluster = eks_configuration(made)
            one["containerOrchestrationType"] = "EKS" if cluster else "ECS"
            if cluster:
                one["eksConfiguration"] = cluster
        return json.dumps(described)

    def describejobqueues(self) -> str:
        """Describes queues, with their type, which is that of their environments."""
        described: dict[str, list[dict[str, Any]]] = json.loads(super().describejobqueues())
        for one in described["jobQueues"]:
            queue = self.batch_backend.get_job_queue(one["jobQueueArn"])
            assert queue is not None
            one["jobQueueType"] = QUEUE_TYPES[platform(queue.environments[0])]
        return json.dumps(described)


def _network(resources: dict[str, Any]) -> dict[str, Any]:
    try:
        network = resources["managedInstancesProvider"]["instanceLaunchTemplate"]["networkConfiguration"]
        return {"subnets": network["subnets"], "securityGroupIds": network["securityGroups"]}
    except (KeyError, TypeError):
        raise ClientException(
            "managedInstancesProvider.instanceLaunchTemplate.networkConfiguration must be specified for "
            f"compute resources of type {MANAGED}"
        ) from None
