"""What the embedded AWS has of EC2 that moto has not: placement groups, and descriptions of rules that name a group."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError
from support.local_account import LocalAccount


def test_one_is_made_found_and_deleted(account: LocalAccount) -> None:
    ec2 = account.aws.client("ec2")
    tags = [{"Key": "team", "Value": "physics"}]
    specification = [{"ResourceType": "placement-group", "Tags": tags}]
    ec2.create_placement_group(GroupName="near", Strategy="cluster", TagSpecifications=specification)
    [group] = ec2.describe_placement_groups(GroupNames=["near"])["PlacementGroups"]
    assert (group["GroupName"], group["Strategy"], group["State"], group["Tags"]) == (
        "near",
        "cluster",
        "available",
        tags,
    )
    assert ec2.describe_placement_groups()["PlacementGroups"] == [group]
    with pytest.raises(ClientError, match="exists already"):
        ec2.create_placement_group(GroupName="near", Strategy="cluster")
    ec2.delete_placement_group(GroupName="near")
    assert ec2.describe_placement_groups()["PlacementGroups"] == []
    with pytest.raises(ClientError, match="is unknown"):
        ec2.delete_placement_group(GroupName="near")


def test_a_rule_that_names_a_group_keeps_its_description(account: LocalAccount) -> None:
    ec2 = account.aws.client("ec2")
    [group, *_] = ec2.describe_security_groups()["SecurityGroups"]
    pair = {"GroupId": group["GroupId"], "Description": "The nodes of a job"}
    permission = {"IpProtocol": "-1", "UserIdGroupPairs": [pair]}
    ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[permission])
    found = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group["GroupId"]]}])
    assert "The nodes of a job" in {rule.get("Description") for rule in found["SecurityGroupRules"]}
