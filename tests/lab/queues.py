"""AWS Batch: job queues and the compute environments behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import limits
from .definitions import page
from .messages import Reply, json_reply
from .routes import Asked


@dataclass(frozen=True)
class Queue:
    """A job queue with one compute environment.

    Attributes:
        state: `ENABLED` or `DISABLED`.
        status: `VALID`, `INVALID` …
        environment_state: Of the compute environment.
        environment_status: Of the compute environment.
        environment_reason: Why the environment is in that status.
        max_vcpus: Limit of the compute environment.
        kind: `EC2`, `SPOT`, `FARGATE`, `FARGATE_SPOT` or `ECS_MANAGED_INSTANCES`.
        orchestration: `ECS` or `EKS`.
        instance_types: Of its machines, if it has any.
        fair_share: Whether it has a scheduling policy.
    """

    state: str = "ENABLED"
    status: str = "VALID"
    environment_state: str = "ENABLED"
    environment_status: str = "VALID"
    environment_reason: str = "ComputeEnvironment Healthy"
    max_vcpus: int = 256
    kind: str = "EC2"
    orchestration: str = "ECS"
    instance_types: tuple[str, ...] = ("optimal",)
    fair_share: bool = False


class Queues:
    """Answers for queues and compute environments.

    Args:
        queues: By name.
        arn: Makes an ARN of the last part of one.
    """

    def __init__(self, queues: dict[str, Queue], arn: Any) -> None:
        self.queues = queues
        self._arn = arn

    def arn_of(self, name_or_arn: str) -> str:
        """ARN of a queue.

        Raises:
            AwsError: There is none.
        """
        name = name_or_arn.rpartition("/")[2]
        arn: str = self._arn(f"job-queue/{name}")
        if name not in self.queues or name_or_arn not in (name, arn):
            raise limits.refused(f"JobQueue {name_or_arn} not found.")
        return arn

    def check_open(self, name_or_arn: str, share: str = "") -> str:
        """The same, for a queue that takes jobs, and takes them with or without a share identifier."""
        arn = self.arn_of(name_or_arn)
        queue = self.queues[arn.rpartition("/")[2]]
        if queue.state != "ENABLED" or queue.status != "VALID":
            raise limits.refused(f"Job Queue {arn} is {queue.state} and {queue.status}; it must be ENABLED and VALID.")
        if queue.fair_share != bool(share):
            raise limits.refused(f"shareIdentifier must {'' if queue.fair_share else 'not '}be specified for {arn}.")
        return arn

    def describe_job_queues(self, asked: Asked) -> Reply:
        """Tells about queues; unknown ones are left out."""
        found = [
            {
                "jobQueueName": name,
                "jobQueueArn": self._arn(f"job-queue/{name}"),
                "state": queue.state,
                "status": queue.status,
                "priority": 1,
                **({"schedulingPolicyArn": self._arn(f"scheduling-policy/{name}")} if queue.fair_share else {}),
                "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": self._environment_arn(name)}],
                "jobStateTimeLimitActions": [],
                "tags": {},
            }
            for name, queue in self.queues.items()
            if _wanted(name, asked.parameters.get("jobQueues"))
        ]
        return json_reply(page("jobQueues", found, asked.parameters))

    def describe_compute_environments(self, asked: Asked) -> Reply:
        """Tells about compute environments; unknown ones are left out."""
        found = [
            {
                "computeEnvironmentName": f"{name}-environment",
                "computeEnvironmentArn": self._environment_arn(name),
                "type": "MANAGED",
                "containerOrchestrationType": queue.orchestration,
                "state": queue.environment_state,
                "status": queue.environment_status,
                "statusReason": queue.environment_reason,
                "computeResources": {
                    "type": queue.kind,
                    "minvCpus": 0,
                    "maxvCpus": queue.max_vcpus,
                    "instanceTypes": [] if queue.kind.startswith("FARGATE") else list(queue.instance_types),
                    "subnets": [],
                },
                "serviceRole": "arn:aws:iam::123456789012:role/AWSBatchServiceRole",
            }
            for name, queue in self.queues.items()
            if _wanted(f"{name}-environment", asked.parameters.get("computeEnvironments"))
        ]
        return json_reply(page("computeEnvironments", found, asked.parameters))

    def _environment_arn(self, queue: str) -> str:
        arn: str = self._arn(f"compute-environment/{queue}-environment")
        return arn


def _wanted(name: str, names_or_arns: list[str] | None) -> bool:
    return not names_or_arns or name in [wanted.rpartition("/")[2] for wanted in names_or_arns]
