"""What a plan cannot show: that an account has what was deployed as it was meant."""

from __future__ import annotations

import base64
import email
import json
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

from cfnlint.api import lint_all


def check_bucket(client: Callable[[str], Any], section: Mapping[str, Any]) -> None:
    """Private, encrypted, emptied by itself; and the job role's one policy is about it alone."""
    s3, bucket = client("s3"), section["s3_bucket_name"]
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert (rule["Expiration"]["Days"], rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"]) == (7, 1)
    role = client("iam").get_role_policy(RoleName=section["batch_job_role_name"], PolicyName="bucket")
    objects, uploads = role["PolicyDocument"]["Statement"]
    assert objects["Resource"] == [f"arn:aws:s3:::{bucket}/*"]
    assert set(objects["Action"]) == {"s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"}
    assert uploads["Resource"] == [f"arn:aws:s3:::{bucket}"]
    assert uploads["Action"] == ["s3:ListBucketMultipartUploads"]


def environments(client: Callable[[str], Any], section: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The `computeResources` of the queue's environments, in its order."""
    batch = client("batch")
    (queue,) = batch.describe_job_queues(jobQueues=[section["batch_queue"]])["jobQueues"]
    arns = [entry["computeEnvironment"] for entry in queue["computeEnvironmentOrder"]]
    found = batch.describe_compute_environments(computeEnvironments=arns)["computeEnvironments"]
    by_arn = {one["computeEnvironmentArn"]: one["computeResources"] for one in found}
    return [by_arn[arn] for arn in arns]


def check_machines(client: Callable[[str], Any], resources: Mapping[str, Any]) -> None:
    """Disk and metadata of an environment's machines, and that nothing comes in from outside."""
    ec2 = client("ec2")
    template = resources["launchTemplate"]["launchTemplateId"]
    (version,) = ec2.describe_launch_template_versions(LaunchTemplateId=template)["LaunchTemplateVersions"]
    data = version["LaunchTemplateData"]
    assert data["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 100
    options = data["MetadataOptions"]
    assert (options["HttpTokens"], int(options["HttpPutResponseHopLimit"])) == ("required", 1)
    check_group(client, resources)


def check_templates(
    client: Callable[[str], Any], section: Mapping[str, Any], disk: int, tags: Mapping[str, str]
) -> None:
    """The machines of all of the queue's environments have this disk and these tags."""
    for resources in environments(client, section):
        asked = resources["launchTemplate"]
        (version,) = client("ec2").describe_launch_template_versions(
            LaunchTemplateId=asked["launchTemplateId"], Versions=[asked["version"]]
        )["LaunchTemplateVersions"]
        data = version["LaunchTemplateData"]
        assert data["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == disk
        assert [{tag["Key"]: tag["Value"] for tag in of["Tags"]} for of in data["TagSpecifications"]] == [tags, tags]


def check_adapter(client: Callable[[str], Any], resources: Mapping[str, Any]) -> None:
    """An adapter is the machines' first interface, with its driver; they are close together, and talk to each other."""
    ec2, asked = client("ec2"), resources["launchTemplate"]
    (version,) = ec2.describe_launch_template_versions(
        LaunchTemplateId=asked["launchTemplateId"], Versions=[asked["version"]]
    )["LaunchTemplateVersions"]
    data = version["LaunchTemplateData"]
    (interface,) = data["NetworkInterfaces"]
    assert (interface["DeviceIndex"], interface["InterfaceType"]) == (0, "efa")
    assert not resources.get("securityGroupIds"), "AWS takes the groups of one place"
    parts = email.message_from_bytes(base64.b64decode(data["UserData"]))
    assert parts.get_content_type() == "multipart/mixed"
    (script,) = parts.get_payload()
    checked = subprocess.run(["bash", "-n"], input=script.get_payload(), text=True, check=False, capture_output=True)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "efa_installer.sh --yes --minimal" in script.get_payload()
    (group,) = ec2.describe_security_groups(GroupIds=interface["Groups"])["SecurityGroups"]
    for rules in (group["IpPermissions"], group["IpPermissionsEgress"]):
        among = [pair["GroupId"] for rule in rules if rule["IpProtocol"] == "-1" for pair in rule["UserIdGroupPairs"]]
        assert among == [group["GroupId"]]
    (placement,) = ec2.describe_placement_groups(GroupNames=[resources["placementGroup"]])["PlacementGroups"]
    assert placement["Strategy"] == "cluster"


def check_stacks(client: Callable[[str], Any]) -> None:
    """AWS's schemas of the resources, which cfn-lint has, know each property of each stack."""
    stacks = client("cloudformation")
    for stack in stacks.describe_stacks()["Stacks"]:
        template = stacks.get_template(StackName=stack["StackName"])["TemplateBody"]
        found = lint_all(json.dumps(template))
        assert [str(one) for one in found if one.rule.id.startswith("E")] == []


def check_group(client: Callable[[str], Any], resources: Mapping[str, Any]) -> None:
    """Out everywhere, nothing in."""
    (group,) = client("ec2").describe_security_groups(GroupIds=resources["securityGroupIds"])["SecurityGroups"]
    assert group["IpPermissions"] == []
    assert len(group["IpPermissionsEgress"]) == 1
