"""What jobs run on in a compute environment of the embedded AWS."""

from __future__ import annotations

from typing import Any

from moto.batch.models import ComputeEnvironment

MANAGED = "ECS_MANAGED_INSTANCES"
"""Type of compute resources that ECS manages."""

# https://docs.aws.amazon.com/batch/latest/APIReference/API_JobQueueDetail.html
QUEUE_TYPES = {"EC2": "ECS", "FARGATE": "ECS_FARGATE", "MANAGED_INSTANCES": MANAGED, "EKS": "EKS"}
"""Types of queues by the platform of their environments."""


def eks_configuration(environment: ComputeEnvironment) -> dict[str, Any]:
    """That of an environment on EKS; empty for another one."""
    return vars(environment).get("eks_configuration") or {}


def platform(environment: ComputeEnvironment) -> str:
    """What the jobs of an environment run on: `EC2`, `FARGATE`, `MANAGED_INSTANCES` or `EKS`."""
    if eks_configuration(environment):
        return "EKS"
    kind = str((environment.compute_resources or {}).get("type", ""))
    return "MANAGED_INSTANCES" if kind == MANAGED else "FARGATE" if kind.startswith("FARGATE") else "EC2"
