"""Compute environments and queues of the embedded AWS: extends moto's by what jobs run on there."""

from __future__ import annotations

import json
from typing import Any

from moto.batch.exceptions import ClientException

from .compute_resources import check_resources, check_unused, update_resources, with_groups
from .consumable_calls import ConsumableResponse
from .platforms import MANAGED, QUEUE_TYPES, eks_configuration, platform
from .validation import check_fields


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
        elif resources:
            self.body = json.dumps({**asked, "computeResources": with_groups(self.batch_backend, resources)})
        if cluster and resources.get("type") not in ("EC2", "SPOT", None):
            kind = resources["type"]
            raise ClientException(f"Compute resources on Amazon EKS must be of type EC2 or SPOT, not {kind}")
        check_resources(resources)
        answer = super().createcomputeenvironment()
        made = self.batch_backend.get_compute_environment_by_arn(json.loads(answer)["computeEnvironmentArn"])
        assert made is not None
        made.compute_resources = resources or made.compute_resources
        vars(made)["eks_configuration"] = cluster
        return answer

    def updatecomputeenvironment(self) -> str:
        """Changes one as moto does, and of its resources what it takes no service-linked role to change."""
        asked = json.loads(self.body)
        check_fields("UpdateComputeEnvironment", asked)
        environment = self.batch_backend.get_compute_environment(asked["computeEnvironment"])
        if environment is None:
            raise ClientException(f"Compute environment {asked['computeEnvironment']} does not exist")
        update_resources(environment, asked.get("computeResources") or {})
        return super().updatecomputeenvironment()

    def deletecomputeenvironment(self) -> str:
        """Deletes one that no queue has, and that is switched off."""
        environment = self.batch_backend.get_compute_environment(json.loads(self.body)["computeEnvironment"])
        if environment is not None:
            check_unused(self.batch_backend, environment)
            if environment.state != "DISABLED":
                raise ClientException("Cannot delete, the compute environment's state is not DISABLED")
        return super().deletecomputeenvironment()

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
