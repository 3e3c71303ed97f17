"""Compute environments of the embedded AWS: what it keeps, changes in place, and refuses, also from CloudFormation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.local_account import QUEUE, LocalAccount

NAME = "machines"
ORDERED = {"allocationStrategy": "BEST_FIT_PROGRESSIVE_ORDERED", "instanceTypes": ["m6i.large", "c6i.large"]}


def of_the_first(account: LocalAccount) -> tuple[str, dict[str, Any]]:
    """The role and the resources of the environment that is there from the beginning."""
    [one] = account.batch.describe_compute_environments(computeEnvironments=["covalent-batch-environment"])[
        "computeEnvironments"
    ]
    return one["serviceRole"], one["computeResources"]


def make(account: LocalAccount, **more: Any) -> None:
    role, resources = of_the_first(account)
    account.batch.create_compute_environment(
        computeEnvironmentName=NAME, type="MANAGED", serviceRole=role, computeResources={**resources, **more}
    )


def resources(account: LocalAccount, name: str = NAME) -> dict[str, Any]:
    [one] = account.batch.describe_compute_environments(computeEnvironments=[name])["computeEnvironments"]
    return dict(one["computeResources"])


@pytest.fixture
def clean(account: LocalAccount) -> Iterator[None]:
    yield
    account.batch.update_compute_environment(computeEnvironment=NAME, state="DISABLED")
    account.batch.delete_compute_environment(computeEnvironment=NAME)


@pytest.mark.usefixtures("clean")
def test_a_delay_and_an_order_are_kept_and_the_delay_is_changed_and_taken_away(account: LocalAccount) -> None:
    make(account, scalingPolicy={"minScaleDownDelayMinutes": 20}, **ORDERED)
    assert resources(account)["instanceTypes"] == ["m6i.large", "c6i.large"]
    assert resources(account)["scalingPolicy"] == {"minScaleDownDelayMinutes": 20}
    for minutes in (10080, 0):
        change = {"scalingPolicy": {"minScaleDownDelayMinutes": minutes}, "maxvCpus": 8}
        account.batch.update_compute_environment(computeEnvironment=NAME, computeResources=change)
        assert resources(account)["scalingPolicy"] == {"minScaleDownDelayMinutes": minutes}
    assert resources(account)["maxvCpus"] == 8
    with pytest.raises(ClientError, match="instanceTypes cannot be changed: an infrastructure update needs"):
        account.batch.update_compute_environment(computeEnvironment=NAME, computeResources={"instanceTypes": ["m5"]})
    with pytest.raises(ClientError, match="minvCpus must not be greater"):
        account.batch.update_compute_environment(computeEnvironment=NAME, computeResources={"minvCpus": 9})
    with pytest.raises(ClientError, match="is not DISABLED"):
        account.batch.delete_compute_environment(computeEnvironment=NAME)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scalingPolicy": {"minScaleDownDelayMinutes": 19}}, "between 20 and 10080, not 19"),
        ({"scalingPolicy": {"minScaleDownDelayMinutes": 10081}}, "between 20 and 10080"),
        ({"type": "FARGATE", "scalingPolicy": {"minScaleDownDelayMinutes": 20}}, "not applicable"),
        (
            {**ORDERED, "type": "SPOT"},
            "BEST_FIT_PROGRESSIVE_ORDERED is not supported for compute resources of type SPOT",
        ),
        (
            {"allocationStrategy": "SPOT_CAPACITY_OPTIMIZED_PRIORITIZED"},
            "not supported for compute resources of type EC2",
        ),
    ],
)
def test_what_aws_refuses_is_refused(account: LocalAccount, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError, match=message):
        make(account, **changes)


@pytest.mark.usefixtures("clean")
def test_the_machines_may_have_their_groups_from_the_launch_template(account: LocalAccount) -> None:
    ec2 = account.aws.client("ec2")
    with pytest.raises(ClientError, match="securityGroupIds must be specified, or security groups in the launch"):
        make(account, securityGroupIds=[])
    _, found = of_the_first(account)
    adapter = {"DeviceIndex": 0, "InterfaceType": "efa", "Groups": found["securityGroupIds"]}
    made = ec2.create_launch_template(LaunchTemplateName="efa", LaunchTemplateData={"NetworkInterfaces": [adapter]})
    template = {"launchTemplateId": made["LaunchTemplate"]["LaunchTemplateId"], "version": "1"}
    make(account, securityGroupIds=[], launchTemplate=template)
    assert resources(account)["launchTemplate"] == template
    assert not resources(account)["securityGroupIds"], "as it was asked for"


def template(account: LocalAccount, **more: Any) -> str:
    """A stack of one environment; properties are named as Batch's fields are."""
    role, found = of_the_first(account)
    properties = {
        "ComputeEnvironmentName": NAME,
        "Type": "MANAGED",
        "ServiceRole": role,
        "Tags": {"team": "physics"},
        "ComputeResources": {f"{name[0].upper()}{name[1:]}": value for name, value in {**found, **more}.items()},
    }
    environment = {"Type": "AWS::Batch::ComputeEnvironment", "Properties": properties}
    return json.dumps({"Resources": {"E": environment}, "Outputs": {"Arn": {"Value": {"Ref": "E"}}}})


def test_cloudformation_makes_changes_and_deletes_one(account: LocalAccount) -> None:
    stacks = account.aws.client("cloudformation")
    delay = {"scalingPolicy": {"MinScaleDownDelayMinutes": 30}}
    stacks.create_stack(StackName="machines", TemplateBody=template(account, **delay, **ORDERED))
    [stack] = stacks.describe_stacks(StackName="machines")["Stacks"]
    arn = stack["Outputs"][0]["OutputValue"]
    assert resources(account, arn)["scalingPolicy"] == {"minScaleDownDelayMinutes": 30}
    assert resources(account, arn)["instanceTypes"] == ["m6i.large", "c6i.large"]
    assert account.batch.list_tags_for_resource(resourceArn=arn)["tags"] == {"team": "physics"}

    stacks.update_stack(StackName="machines", TemplateBody=template(account, **delay, **ORDERED, maxvCpus=8))
    assert resources(account, arn)["maxvCpus"] == 8
    with pytest.raises(ClientError, match="would be replaced"):
        stacks.update_stack(StackName="machines", TemplateBody=template(account, **ORDERED, maxvCpus=8))

    [first] = account.batch.describe_compute_environments(computeEnvironments=["covalent-batch-environment"])[
        "computeEnvironments"
    ]
    order = [{"order": 1, "computeEnvironment": first["computeEnvironmentArn"]}]
    account.batch.update_job_queue(
        jobQueue=QUEUE, computeEnvironmentOrder=[*order, {"order": 2, "computeEnvironment": arn}]
    )
    with pytest.raises(ClientError, match="found existing JobQueue relationship"):
        account.batch.delete_compute_environment(computeEnvironment=arn)
    account.batch.update_job_queue(jobQueue=QUEUE, computeEnvironmentOrder=order)
    stacks.delete_stack(StackName="machines")
    assert account.batch.describe_compute_environments(computeEnvironments=[arn])["computeEnvironments"] == []
