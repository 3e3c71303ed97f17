"""Compute environments and queues of the embedded AWS: extends moto's by what jobs run on there."""

from __future__ import annotations

import json
from typing import Any

from moto.batch.models import ComputeEnvironment

from .consumable_calls import ConsumableResponse

# https://docs.aws.amazon.com/batch/latest/APIReference/API_JobQueueDetail.html
_QUEUE_TYPES = {
    "EC2": "ECS",
    "FARGATE": "ECS_FARGATE",
}


def platform(environment: ComputeEnvironment) -> str:
    """What the jobs of an environment run on: `EC2` or `FARGATE`."""
    kind = str((environment.compute_resources or {}).get("type", ""))
    return "FARGATE" if kind.startswith("FARGATE") else "EC2"


class EnvironmentResponse(ConsumableResponse):
    """Answers the calls about them."""

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
            first = self.batch_backend.get_job_queue(one["jobQueueArn"]).environments[0]  # type: ignore[union-attr]
            one["jobQueueType"] = _QUEUE_TYPES[platform(first)]
        return json.dumps(described)
