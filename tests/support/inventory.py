"""What there is in an account, so that a test sees what was made and that nothing stays behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def inventory(client: Callable[[str], Any]) -> set[str]:
    """Names or ids of everything that a deployment makes.

    Args:
        client: Returns a boto3 client of the service named.
    """
    names = ("s3", "iam", "ec2", "batch", "logs", "ecr", "cloudformation")
    s3, iam, ec2, batch, logs, ecr, stacks = map(client, names)
    found = {
        "bucket": [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]],
        "role": [role["RoleName"] for role in iam.list_roles()["Roles"]],
        "profile": [item["InstanceProfileName"] for item in iam.list_instance_profiles()["InstanceProfiles"]],
        "vpc": [vpc["VpcId"] for vpc in ec2.describe_vpcs()["Vpcs"]],
        "subnet": [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]],
        "group": [group["GroupId"] for group in ec2.describe_security_groups()["SecurityGroups"]],
        "route table": [item["RouteTableId"] for item in ec2.describe_route_tables()["RouteTables"]],
        "gateway": [item["InternetGatewayId"] for item in ec2.describe_internet_gateways()["InternetGateways"]],
        # Moto keeps those that are gone, and says so.
        "endpoint": [
            item["VpcEndpointId"] for item in ec2.describe_vpc_endpoints()["VpcEndpoints"] if item["State"] != "deleted"
        ],
        "template": [item["LaunchTemplateId"] for item in ec2.describe_launch_templates()["LaunchTemplates"]],
        "queue": [queue["jobQueueName"] for queue in batch.describe_job_queues()["jobQueues"]],
        "environment": [
            item["computeEnvironmentName"] for item in batch.describe_compute_environments()["computeEnvironments"]
        ],
        "stack": [stack["StackName"] for stack in stacks.describe_stacks()["Stacks"]],
        "placement group": [group["GroupName"] for group in ec2.describe_placement_groups()["PlacementGroups"]],
        "log group": [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]],
        "repository": [item["repositoryName"] for item in ecr.describe_repositories()["repositories"]],
    }
    return {f"{kind} {name}" for kind, all_of_it in found.items() for name in all_of_it}
