"""The resources of the embedded AWS: those of `covalent deploy up awsbatch`, under the executor's default names."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

BUCKET = "covalent-batch-job-resources"
QUEUE = "covalent-batch-queue"
COMPUTE_ENVIRONMENT = "covalent-batch-environment"
EXECUTION_ROLE = "ecsTaskExecutionRole"
JOB_ROLE = "CovalentBatchJobRole"
LOG_GROUP = "covalent-batch-job-logs"

_INSTANCE_ROLE = "ecsInstanceRole"
_SERVICE_ROLE = "AWSBatchServiceRole"
_MANAGED = "arn:aws:iam::aws:policy/service-role/"


def create_resources(client: Callable[[str], Any], region: str, max_vcpus: int) -> None:
    """Creates everything that an executor with default options needs.

    Args:
        client: Returns a boto3 client of the service named.
        region: Where to create the bucket.
        max_vcpus: How many vCPUs the compute environment has.
    """
    location = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    client("s3").create_bucket(Bucket=BUCKET, **location)
    client("logs").create_log_group(logGroupName=LOG_GROUP)
    iam = client("iam")
    _create_role(iam, EXECUTION_ROLE, "ecs-tasks.amazonaws.com", "AmazonECSTaskExecutionRolePolicy")
    _create_role(iam, JOB_ROLE, "ecs-tasks.amazonaws.com")
    iam.put_role_policy(RoleName=JOB_ROLE, PolicyName="bucket", PolicyDocument=json.dumps(_bucket_policy()))
    _create_role(iam, _INSTANCE_ROLE, "ec2.amazonaws.com", "AmazonEC2ContainerServiceforEC2Role")
    profile = iam.create_instance_profile(InstanceProfileName=_INSTANCE_ROLE)["InstanceProfile"]["Arn"]
    iam.add_role_to_instance_profile(InstanceProfileName=_INSTANCE_ROLE, RoleName=_INSTANCE_ROLE)
    service_role = _create_role(iam, _SERVICE_ROLE, "batch.amazonaws.com", "AWSBatchServiceRole")
    subnet, group = _create_network(client("ec2"))
    batch = client("batch")
    batch.create_compute_environment(
        computeEnvironmentName=COMPUTE_ENVIRONMENT,
        type="MANAGED",
        state="ENABLED",
        serviceRole=service_role,
        computeResources={
            "type": "EC2",
            "minvCpus": 0,
            "desiredvCpus": 0,
            "maxvCpus": max_vcpus,
            "instanceTypes": ["optimal"],
            "instanceRole": profile,
            "subnets": [subnet],
            "securityGroupIds": [group],
        },
    )
    batch.create_job_queue(
        jobQueueName=QUEUE,
        state="ENABLED",
        priority=1,
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": COMPUTE_ENVIRONMENT}],
    )


def _create_role(iam: Any, name: str, service: str, managed_policy: str | None = None) -> str:
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}],
    }
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    if managed_policy:
        iam.attach_role_policy(RoleName=name, PolicyArn=_MANAGED + managed_policy)
    return str(role["Arn"])


def _bucket_policy() -> dict[str, Any]:
    bucket = f"arn:aws:s3:::{BUCKET}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:ListBucketMultipartUploads"], "Resource": [bucket]},
            {
                "Effect": "Allow",
                "Action": ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"],
                "Resource": [f"{bucket}/*"],
            },
        ],
    }


def _create_network(ec2: Any) -> tuple[str, str]:
    """Returns the ids of a subnet and of a security group in a network of their own."""
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="covalent-batch", Description="Jobs of Covalent", VpcId=vpc)
    return str(subnet), str(group["GroupId"])
