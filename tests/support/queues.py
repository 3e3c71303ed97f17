"""Queues of other kinds than the embedded AWS brings along."""

from __future__ import annotations

from typing import Any

from covalent_awsbatch_plugin.local import LocalAWS


def add_queue(aws: LocalAWS, name: str, resources: dict[str, Any] | None = None, **environment: Any) -> str:
    """Makes a queue with a compute environment of the same name.

    Args:
        aws: The embedded AWS.
        name: Of both.
        resources: `computeResources` over those of Fargate.
        **environment: More of the compute environment.

    Returns:
        The name.
    """
    batch, ec2 = aws.client("batch"), aws.client("ec2")
    network = {
        "subnets": [ec2.describe_subnets()["Subnets"][0]["SubnetId"]],
        "securityGroupIds": [ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]],
    }
    batch.create_compute_environment(
        computeEnvironmentName=name,
        type="MANAGED",
        state="ENABLED",
        computeResources={"type": "FARGATE", "maxvCpus": 4, **network, **(resources or {})},
        serviceRole=batch.describe_compute_environments()["computeEnvironments"][0]["serviceRole"],
        **environment,
    )
    order = [{"order": 1, "computeEnvironment": name}]
    batch.create_job_queue(jobQueueName=name, state="ENABLED", priority=1, computeEnvironmentOrder=order)
    return name
