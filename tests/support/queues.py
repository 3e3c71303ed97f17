"""Queues of other kinds than the embedded AWS brings along."""

from __future__ import annotations

from typing import Any

from covalent_awsbatch_plugin.local import LocalAWS


def managed_instances(aws: LocalAWS, *types: str) -> dict[str, Any]:
    """`computeResources` of Managed Instances, of these types alone if any are given."""
    ec2 = aws.client("ec2")
    network = {
        "subnets": [ec2.describe_subnets()["Subnets"][0]["SubnetId"]],
        "securityGroups": [ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]],
    }
    template = {
        "ec2InstanceProfileArn": "arn:aws:iam::123456789012:instance-profile/ecsInstanceRole",
        "networkConfiguration": network,
        **({"instanceRequirements": {"allowedInstanceTypes": list(types)}} if types else {}),
    }
    role = "arn:aws:iam::123456789012:role/infrastructure"
    provider = {"infrastructureRoleArn": role, "instanceLaunchTemplate": template}
    return {"type": "ECS_MANAGED_INSTANCES", "maxvCpus": 4, "managedInstancesProvider": provider}


def add_queue(aws: LocalAWS, name: str, resources: dict[str, Any] | None = None, **environment: Any) -> str:
    """Makes a queue with a compute environment of the same name.

    Args:
        aws: The embedded AWS.
        name: Of both.
        resources: `computeResources`; None for those of Fargate.
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
        computeResources=resources or {"type": "FARGATE", "maxvCpus": 4, **network},
        serviceRole=batch.describe_compute_environments()["computeEnvironments"][0]["serviceRole"],
        **environment,
    )
    order = [{"order": 1, "computeEnvironment": name}]
    batch.create_job_queue(jobQueueName=name, state="ENABLED", priority=1, computeEnvironmentOrder=order)
    return name
