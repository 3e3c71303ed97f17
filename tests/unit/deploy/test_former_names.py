"""What `covalent deploy up awsbatch` of version 0.42.0 took is taken: a script that was written for it deploys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from covalent.cloud_resource_manager.core import get_plugin_settings, validate_options
from pydantic import ValidationError

from covalent_awsbatch_plugin import ExecutorInfraDefaults, ExecutorPluginDefaults
from covalent_awsbatch_plugin.cli import main
from covalent_awsbatch_plugin.deploy.former_names import FORMER
from covalent_awsbatch_plugin.deploy.terraform import TerraformError
from covalent_awsbatch_plugin.deploy.variables import read, variables

OF_THEN = {
    "prefix": "team",
    "aws_region": "eu-central-1",
    "vpc_id": "vpc-1",
    "subnet_id": "subnet-1",
    "instance_types": "optimal",
    "min_vcpus": "0",
    "max_vcpus": "256",
    "aws_s3_bucket": "job-resources",
    "aws_batch_queue": "queue",
    "aws_batch_job_definition": "job-definition",
    "credentials": "/home/ada/.aws/credentials",
    "profile": "default",
    "vcpus": "2",
    "memory": "3.75",
    "num_gpus": "0",
    "retry_attempts": "3",
    "time_limit": "300",
    "poll_freq": "10",
    "container_image_uri": "public.ecr.aws/covalent/covalent-executor-base:stable",
}
"""Every field that its ExecutorInfraDefaults had, as Covalent's command passes it on."""


@pytest.mark.filterwarnings("ignore:The `schema` method is deprecated:DeprecationWarning")
def test_covalents_command_finds_every_name_of_then() -> None:
    validate_options(ExecutorPluginDefaults, ExecutorInfraDefaults, OF_THEN)
    found = get_plugin_settings(ExecutorPluginDefaults, ExecutorInfraDefaults, OF_THEN)
    assert {name: found[name]["value"] for name in OF_THEN} == OF_THEN


def test_a_value_by_its_former_name_is_that_of_the_field() -> None:
    given = ExecutorInfraDefaults(**OF_THEN)
    for former, name in FORMER.items():
        assert str(getattr(given, name)) in (OF_THEN[former], f"{OF_THEN[former]}.0")
        assert getattr(given, former) is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"aws_region": "eu-west-1", "region": "us-east-1"}, "aws_region=eu-west-1 contradicts region=us-east-1"),
        ({"vcpus": "4", "vcpu": "2"}, "vcpus=4 contradicts vcpu=2, whose former name it is: give one of them"),
        ({"subnet_id": "subnet-1", "subnet_ids": "subnet-1,subnet-2"}, "contradicts subnet_ids"),
    ],
)
@pytest.mark.filterwarnings("ignore:The `schema` method is deprecated:DeprecationWarning")
def test_two_values_for_one_thing_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        validate_options(ExecutorPluginDefaults, ExecutorInfraDefaults, values)


def test_the_same_value_by_both_names_is_none_too_many() -> None:
    assert ExecutorInfraDefaults(vcpus="4", vcpu=4.0).vcpu == 4


def test_a_value_of_then_is_looked_at_like_one_of_now() -> None:
    with pytest.raises(ValidationError, match="at most 256 vCPUs"):
        ExecutorInfraDefaults(vcpus=512)


def test_what_is_remembered_has_the_name_of_now(tmp_path: Path) -> None:
    remembered = variables(tmp_path, {"vcpus": "2", "aws_region": "eu-central-1"})
    assert remembered == {"vcpu": 2.0, "region": "eu-central-1"}
    (tmp_path / "terraform.tfvars.json").write_text(json.dumps(remembered), encoding="utf-8")
    assert variables(tmp_path, {"vcpus": "4"})["vcpu"] == 4, "another value later is a change and no contradiction"


def test_a_file_may_have_them(tmp_path: Path) -> None:
    file = tmp_path / "terraform.tfvars"
    file.write_text('aws_region = "eu-west-1"\nvcpus = 4\n', encoding="utf-8")
    assert read(file) == {"region": "eu-west-1", "vcpu": 4}
    file.write_text("vcpu = 2\nvcpus = 4\n", encoding="utf-8")
    with pytest.raises(TerraformError, match="vcpus=4 contradicts vcpu=2"):
        read(file)


def test_our_own_command_takes_them_as_covalents_writes_them(tmp_path: Path) -> None:
    def deploy(*arguments: str) -> str:
        done = CliRunner().invoke(main, ["deploy", "plan", f"--directory={tmp_path}", *arguments])
        assert done.exit_code == 1
        return done.output

    assert "vcpus=4.0 contradicts vcpu=2.0" in deploy("--vcpus=4", "--vcpu=2")
    # Each is refused for its value, as by the name of now.
    assert "subnet_ids: must be ids of subnets" in deploy("--subnet_id=mine")
    assert "at most 256 vCPUs" in deploy("--vcpus=512", "--aws-region=eu-west-1", "--max_vcpus=256")
