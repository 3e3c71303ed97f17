"""The Terraform files, and `covalent-awsbatch deploy` with them: valid, planned, and applied to the embedded AWS."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError
from support.paths import TESTS
from support.terraform import install

from covalent_awsbatch_plugin.deploy.deployment import INFRA
from covalent_awsbatch_plugin.deploy.infra import ExecutorInfraDefaults
from covalent_awsbatch_plugin.deploy.terraform import TerraformError
from covalent_awsbatch_plugin.deploy.variables import variables
from covalent_awsbatch_plugin.options.settings import Settings

PLANS = TESTS / "support/infra"
REGION = "eu-central-1"
PREFIX = "lab"

VARIABLE = re.compile(r'^variable "(\w+)" \{\n  type +=.*\n  default +=(.*)\n  description =(.*)\n', re.MULTILINE)


@pytest.fixture(scope="module")
def binaries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a `terraform` is that finds the provider."""
    return install(tmp_path_factory.mktemp("terraform"))


@pytest.fixture(scope="module")
def project(binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the files, ready for commands that need no account."""
    directory = tmp_path_factory.mktemp("project")
    for source in INFRA.glob("*.tf"):
        shutil.copy(source, directory)
    shutil.copytree(PLANS, directory / "tests")
    terraform(binaries, directory, "init")
    return directory


def terraform(binaries: Path, directory: Path, *arguments: str) -> str:
    done = subprocess.run(
        [binaries / "terraform", *arguments, "-no-color"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=270,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_variables_are_those_of_the_class() -> None:
    """Covalent drops every default as soon as one option is passed: Terraform's own must be the same."""
    texts = [(INFRA / name).read_text(encoding="utf-8") for name in ("variables.tf", "options.tf", "former_names.tf")]
    found = VARIABLE.findall("".join(texts))
    declared = {name: (json.loads(default), json.loads(description)) for name, default, description in found}
    fields = ExecutorInfraDefaults.model_fields
    assert declared == {name: (field.default, field.description) for name, field in fields.items()}
    assert list(declared) == list(fields)


def test_every_option_of_the_executor_is_a_variable_and_written() -> None:
    options = set(Settings.model_fields)
    assert options <= set(ExecutorInfraDefaults.model_fields)
    assert names_in("options.tf", "  options = {") == options
    assert names_in("outputs.tf", "  executor = merge(local.options, {") < options


def names_in(file: str, head: str) -> set[str]:
    """The keys of an object in one of the files."""
    _, _, rest = (INFRA / file).read_text(encoding="utf-8").partition(head)
    return set(re.findall(r"^    (\w+) +=", rest.partition("\n  }")[0], re.MULTILINE))


@pytest.mark.parametrize(
    "given", ['{"team": "a", "of": "b:c"}', "team:a, of : b:c", "team=a,of=b:c", {"team": "a", "of": "b:c"}]
)
def test_pairs_are_written_as_people_and_files_write_them(given: object) -> None:
    assert json.loads(ExecutorInfraDefaults(tags=given).tags) == {"team": "a", "of": "b:c"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"capacity": "SPOT,SPOT"}, "two of one kind"),
        ({"capacity": "LAMBDA"}, "EC2, SPOT, FARGATE or FARGATE_SPOT"),
        ({"capacity": "FARGATE_SPOT,SPOT"}, "mixes Fargate with machines, and AWS Batch allows"),
        ({"capacity": "FARGATE", "instance_types": "c6i"}, "about machines, and Fargate has none"),
        ({"capacity": "FARGATE", "disk_gb": 201}, "200 or less with Fargate"),
        ({"capacity": "FARGATE", "num_gpus": 1}, "no GPUs on Fargate"),
        ({"capacity": "FARGATE", "vcpu": 3}, "there is vcpu=0.25, 0.5, 1"),
        ({"ephemeral_storage": 50}, "for Fargate only"),
        ({"platform": "FARGATE"}, "platform contradicts capacity .EC2."),
        ({"tags": "team"}, "name:value with commas between, or a JSON object"),
        ({"tags": '{"team"'}, "this is no JSON"),
        ({"tags": {"aws:team": "x"}}, "tags must be"),
        ({"environment": "AWS_BATCH_JOB_ID:1"}, "environment must be"),
        ({"capacity": "SPOT", "prefix": "Lab"}, "lower-case letters"),
        ({"subnet_ids": "subnet-1"}, "vpc_id and subnet_ids belong together"),
        ({"vpc_id": "my-vpc"}, "id of a VPC"),
        ({"min_vcpus": 8, "max_vcpus": 4}, "more than max_vcpus"),
        ({"allocation_strategy": "SPOT_CAPACITY_OPTIMIZED"}, "is for SPOT, and capacity is EC2"),
        ({"log_retention_days": 8}, "CloudWatch keeps logs for 1, 3, 5"),
        ({"disk_gb": 20}, "must be 0, or 21 to 16384"),
        ({"disk_gb": 29}, "Amazon's ECS image does not fit"),
        ({"time_limit": 5}, "time_limit must be whole seconds, 60 or more"),
        ({"disk": 100}, "not permitted"),
        ({"prefix": "sg-lab"}, "not begin with sg-"),
        ({"prefix": "my--lab"}, "single hyphens"),
        ({"environment": "OMP_NUM_THREADS"}, "environment must be name:value"),
        ({"tags": {f"tag{number}": "x" for number in range(49)}}, "tags must be 48 at the most"),
        ({"batch_job_role_name": "arn:aws:iam::123456789012:role/mine"}, "batch_job_role_name must be a name"),
        ({"batch_execution_role_name": "/team/mine"}, "batch_execution_role_name must be a name"),
        ({"num_gpus": 1}, "would ever start: its instance types .optimal. have no GPU"),
        ({"vcpu": 512}, "at most 256 vCPUs"),
        ({"share_identifier": "blue"}, "add fair_share, or leave it out"),
        ({"consumable": "licence"}, "must be name=number"),
        ({"runnable_limit": 599}, "must be 0, or 600 to 86400"),
        ({"capacity": "FARGATE", "placement_group": True}, "placement_group is about machines"),
        ({"scale_down_delay": 19}, "must be 0, or 20 to 10080"),
        ({"capacity": "FARGATE", "scale_down_delay": 20}, "scale_down_delay are about machines, and Fargate has none"),
        ({"allocation_strategy": "BEST_FIT_PROGRESSIVE_ORDERED"}, "goes through instance_types in their order: name"),
        ({"allocation_strategy": "SPOT_CAPACITY_OPTIMIZED_PRIORITIZED"}, "is for SPOT, and capacity is EC2"),
        (
            {"capacity": "SPOT", "allocation_strategy": "BEST_FIT_PROGRESSIVE_ORDERED"},
            "is for EC2, and capacity is SPOT",
        ),
        ({"efa": True, "instance_types": "c5n.18xlarge"}, "add multi_node, or leave efa out"),
        ({"efa": True, "multi_node": True}, "efa needs instance_types with their sizes"),
        ({"efa": True, "multi_node": True, "instance_types": "c5n.18xlarge,hpc7a"}, "of a family not all have"),
        ({"capacity": "SPOT,EC2", "multi_node": True}, "is for EC2 alone, and capacity is SPOT,EC2"),
    ],
)
def test_what_cannot_work_is_refused_before_terraform_runs(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ExecutorInfraDefaults(**values)


def test_what_was_deployed_once_can_always_be_taken_down(tmp_path: Path) -> None:
    saved = {"prefix": "my--lab", "region": REGION}
    (tmp_path / "terraform.tfvars.json").write_text(json.dumps(saved), encoding="utf-8")
    assert variables(tmp_path, {"prefix": "my--lab"}) == saved
    with pytest.raises(TerraformError, match="prefix: must be"):
        variables(tmp_path, {"vcpu": 2})


def test_the_files_are_formatted_and_valid(binaries: Path, project: Path) -> None:
    terraform(binaries, project, "fmt", "-check")
    terraform(binaries, project, "validate")


def test_plans_with_a_provider_that_invents_answers(binaries: Path, project: Path) -> None:
    assert "0 failed" in terraform(binaries, project, "test")


def test_checkov_finds_nothing_that_is_not_explained() -> None:
    """With an explanation in place: each exception is a comment in the files, and says why."""
    own = Path(sys.prefix) / "checkov/bin/checkov"
    program = own if own.exists() else shutil.which("checkov")
    if not program:
        pytest.skip("checkov is neither in .venv/checkov, where `make test` puts it, nor on the PATH")
    command = [program, "--directory", INFRA, "--framework", "terraform", "--skip-download", "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    results = json.loads(done.stdout)["results"]
    assert [f"{one['check_id']} {one['resource']}: {one['check_name']}" for one in results["failed_checks"]] == []
    assert done.returncode == 0, done.stderr
    assert len(results["passed_checks"]) > 40
    exceptions = {one["check_id"]: one["check_result"]["suppress_comment"] for one in results["skipped_checks"]}
    assert exceptions
    assert [check for check, reason in exceptions.items() if len(reason.split()) < 4] == []


def test_messages_without_a_terraform_a_deployment_or_sense(binaries: Path, tmp_path: Path) -> None:
    def deploy(*arguments: str, path: str = f"{binaries}:{os.environ['PATH']}") -> str:
        command = [Path(sys.executable).with_name("covalent-awsbatch"), "deploy", *arguments]
        environment = {"PATH": path, "HOME": str(tmp_path)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 1, done.stdout + done.stderr
        return done.stderr

    assert "Nothing was deployed from" in deploy("down", "--prefix=never", "--yes")
    wrong = deploy("plan", "--capacity=FARGATE,EC2", "--disk-gb=20")
    assert "capacity: mixes Fargate with machines" in wrong
    assert "disk_gb: must be 0, or 21 to 16384" in wrong
    (tmp_path / "main.tf").touch()
    assert "another Terraform project (main.tf)" in deploy("plan", f"--directory={tmp_path}")
    assert "Neither terraform nor tofu is on the PATH" in deploy("plan", path="/nonexistent")
