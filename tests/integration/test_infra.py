"""The Terraform files, and `covalent-awsbatch deploy` with them: valid, planned, and applied to the embedded AWS."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import toml
from pydantic import ValidationError
from support.inventory import inventory
from support.terraform import install

from covalent_awsbatch_plugin.deploy import INFRA
from covalent_awsbatch_plugin.infra import ExecutorInfraDefaults
from covalent_awsbatch_plugin.local import LocalAWS
from covalent_awsbatch_plugin.settings import Settings

PLANS = Path(__file__).parents[1] / "support/infra"
REGION = "eu-central-1"
PREFIX = "lab"

VARIABLE = re.compile(r'^variable "(\w+)" \{\n  type +=.*\n  default +=(.*)\n  description =(.*)\n', re.MULTILINE)


class Account:
    """An embedded AWS, and `covalent-awsbatch deploy` with a home of its own that is pointed at it."""

    def __init__(self, aws: LocalAWS, home: Path, binaries: Path) -> None:
        self.aws = aws
        self.home = home
        self.directory = home / "data/covalent-awsbatch" / PREFIX
        self.environment = {
            "PATH": f"{binaries}:{os.environ['PATH']}",
            "HOME": str(home),
            "XDG_DATA_HOME": str(home / "data"),
            "AWS_REGION": REGION,
        }
        self.place = [f"--credentials={aws.options['credentials']}", f"--endpoint-url={aws.endpoint_url}"]

    command = (Path(sys.executable).with_name("covalent-awsbatch"), "deploy")

    def deploy(self, *arguments: str, answer: str = "") -> subprocess.CompletedProcess[str]:
        """Runs the command to its end."""
        return subprocess.run(
            [*self.command, *arguments],
            env=self.environment,
            input=answer,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )

    @property
    def section(self) -> dict[str, object]:
        """The executor's section of Covalent's configuration."""
        conf = self.home / ".config/covalent/covalent.conf"
        content = toml.load(conf) if conf.exists() else {}
        return dict(content.get("executors", {}).get("awsbatch", {}))


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


@pytest.fixture(scope="module")
def account(binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """One account for all deployments of this file."""
    with LocalAWS(region=REGION) as aws:
        yield Account(aws, tmp_path_factory.mktemp("home"), binaries)


def terraform(binaries: Path, directory: Path, *arguments: str) -> str:
    done = subprocess.run(
        [binaries / "terraform", *arguments, "-no-color"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_variables_are_those_of_the_class() -> None:
    """Covalent drops every default as soon as one option is passed: Terraform's own must be the same."""
    found = VARIABLE.findall((INFRA / "variables.tf").read_text(encoding="utf-8"))
    declared = {name: (json.loads(default), json.loads(description)) for name, default, description in found}
    fields = ExecutorInfraDefaults.model_fields
    assert declared == {name: (field.default, field.description) for name, field in fields.items()}
    assert list(declared) == list(fields)


def test_every_option_of_the_executor_is_a_variable_unless_it_cannot_be() -> None:
    mappings = {"environment", "tags"}  # Covalent passes strings
    assert set(Settings.model_fields) - set(ExecutorInfraDefaults.model_fields) == {*mappings, "s3_bucket_owner"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"capacity": "FARGATE_SPOT"}, "Fargate does not take the executor's job definitions"),
        ({"capacity": "SPOT,SPOT"}, "EC2, SPOT, or both"),
        ({"capacity": "SPOT", "prefix": "Lab"}, "lower-case letters"),
        ({"subnet_ids": "subnet-1"}, "vpc_id and subnet_ids belong together"),
        ({"vpc_id": "my-vpc"}, "id of a VPC"),
        ({"min_vcpus": 8, "max_vcpus": 4}, "more than max_vcpus"),
        ({"allocation_strategy": "SPOT_CAPACITY_OPTIMIZED"}, "is for SPOT, and capacity is EC2"),
        ({"log_retention_days": 8}, "CloudWatch keeps logs for 1, 3, 5"),
        ({"disk_gb": 20}, "greater than or equal to 30"),
        ({"time_limit": 5}, "time_limit must be whole seconds, 60 or more"),
        ({"disk": 100}, "not permitted"),
    ],
)
def test_what_cannot_work_is_refused_before_terraform_runs(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ExecutorInfraDefaults(**values)


def test_the_files_are_formatted_and_valid(binaries: Path, project: Path) -> None:
    terraform(binaries, project, "fmt", "-check")
    terraform(binaries, project, "validate")


def test_plans_with_a_provider_that_invents_answers(binaries: Path, project: Path) -> None:
    assert "0 failed" in terraform(binaries, project, "test")


def test_checkov_finds_nothing_that_is_not_explained(project: Path) -> None:
    checkov = shutil.which("checkov")
    if not checkov:
        pytest.skip("checkov is not on the PATH: pipx install checkov")
    command = [checkov, "--directory", project, "--framework", "terraform", "--skip-download", "--quiet", "--compact"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stdout


@pytest.mark.timeout(600)  # most of it is the provider's waiting for a queue and a bucket to settle
def test_what_ctrl_c_leaves_is_known_and_can_be_deleted(account: Account) -> None:
    before = inventory(account.aws.client)
    command = [*account.command, "up", *account.place, "--prefix=half", "--yes"]
    with subprocess.Popen(
        command,
        env=account.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        # The queue is what it waits for from here on, together with the bucket's lifecycle.
        next(line for line in process.stdout if line.startswith("created  aws_batch_compute_environment"))
        until(lambda: "queue half-queue" in inventory(account.aws.client))
        os.killpg(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "Interrupted." in told
    assert "undo it with `down`" in told
    state = account.deploy("status", "--prefix=half")
    assert (state.returncode, state.stdout.split(":")[0]) == (1, "incomplete"), state.stdout + state.stderr
    gone = account.deploy("down", "--prefix=half", "--yes")
    assert gone.returncode == 0, gone.stdout + gone.stderr
    assert inventory(account.aws.client) == before
    assert account.section == {}


@pytest.mark.timeout(600)
def test_from_nothing_to_a_queue_and_back_to_nothing(account: Account, tmp_path: Path) -> None:
    before = inventory(account.aws.client)
    file = tmp_path / "terraform.tfvars"
    file.write_text(
        f'# ours\nprefix = "{PREFIX}"\ncapacity = "SPOT,EC2"\ncreate_ecr = true\nvcpu = 1\n', encoding="utf-8"
    )

    refused = account.deploy("up", *account.place, f"--var-file={file}", answer="n\n")
    assert refused.returncode == 1
    assert "34 to add" in refused.stdout
    assert inventory(account.aws.client) == before

    done = account.deploy("up", *account.place, f"--var-file={file}", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "created  aws_batch_job_queue.this" in done.stdout
    assert '+batch_queue = "lab-queue"' in done.stdout
    section = account.section
    assert section == {
        "credentials": account.aws.options["credentials"],
        "region": REGION,
        "endpoint_url": account.aws.endpoint_url,
        "s3_bucket_name": f"{PREFIX}-123456789012-{REGION}",
        "batch_queue": f"{PREFIX}-queue",
        "batch_execution_role_name": f"{PREFIX}-{REGION}-execution",
        "batch_job_role_name": f"{PREFIX}-{REGION}-job",
        "batch_job_log_group_name": f"{PREFIX}-job-logs",
        "ecr_repo_name": PREFIX,
        "vcpu": 1,
    }
    check_resources(account.aws, section)

    again = account.deploy("plan", "--prefix", PREFIX)  # the other variables are remembered
    assert again.stdout.splitlines() == ["Nothing to do: everything is as it should be."], again.stdout + again.stderr
    told = account.deploy("status", "--prefix", PREFIX, "--json")
    assert json.loads(told.stdout)["status"] == "up"

    gone = account.deploy("down", "--prefix", PREFIX, "--yes")
    assert gone.returncode == 0, gone.stdout + gone.stderr
    assert inventory(account.aws.client) == before
    assert account.section == {"vcpu": 1}
    assert account.deploy("status", "--prefix", PREFIX).stdout.startswith("down: 0 resources")


def check_resources(aws: LocalAWS, section: dict[str, object]) -> None:
    """What the plan cannot show: that AWS has it as it was meant."""
    s3, batch, ec2, iam = map(aws.client, ("s3", "batch", "ec2", "iam"))
    bucket = section["s3_bucket_name"]
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert (rule["Expiration"]["Days"], rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"]) == (7, 1)

    (queue,) = batch.describe_job_queues(jobQueues=[section["batch_queue"]])["jobQueues"]
    arns = [entry["computeEnvironment"] for entry in queue["computeEnvironmentOrder"]]
    environments = batch.describe_compute_environments(computeEnvironments=arns)["computeEnvironments"]
    kinds = {item["computeEnvironmentArn"]: item["computeResources"]["type"] for item in environments}
    assert [kinds[arn] for arn in arns] == ["SPOT", "EC2"]
    resources = environments[0]["computeResources"]
    template = resources["launchTemplate"]["launchTemplateId"]
    (version,) = ec2.describe_launch_template_versions(LaunchTemplateId=template)["LaunchTemplateVersions"]
    data = version["LaunchTemplateData"]
    assert (data["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"], data["MetadataOptions"]["HttpTokens"]) == (
        100,
        "required",
    )
    (group,) = ec2.describe_security_groups(GroupIds=resources["securityGroupIds"])["SecurityGroups"]
    assert group["IpPermissions"] == []
    assert len(group["IpPermissionsEgress"]) == 1

    policy = iam.get_role_policy(RoleName=section["batch_job_role_name"], PolicyName="bucket")["PolicyDocument"]
    (statement,) = policy["Statement"]
    assert statement["Resource"] == [f"arn:aws:s3:::{bucket}/*"]
    assert set(statement["Action"]) == {"s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"}


def until(condition: Callable[[], bool], timeout: float = 30) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_state_can_be_in_s3(account: Account, tmp_path: Path) -> None:
    account.aws.client("s3").create_bucket(Bucket="states", CreateBucketConfiguration={"LocationConstraint": REGION})
    place = [*account.place, "--prefix=shared", f"--directory={tmp_path}", "--backend=s3://states/ours.tfstate"]
    done = account.deploy("plan", *place)
    assert done.returncode == 0, done.stdout + done.stderr
    backend = json.loads((tmp_path / "backend.tf.json").read_text(encoding="utf-8"))["terraform"]["backend"]["s3"]
    assert (backend["bucket"], backend["key"], backend["region"]) == ("states", "ours.tfstate", REGION)


def test_messages_without_a_terraform_a_deployment_or_sense(account: Account, tmp_path: Path) -> None:
    nothing = account.deploy("down", "--prefix=never", "--yes")
    assert nothing.returncode == 1
    assert "Nothing was deployed from" in nothing.stderr
    wrong = account.deploy("plan", "--capacity=FARGATE", "--disk-gb=20")
    assert "capacity: Fargate does not take" in wrong.stderr
    assert "disk_gb: Input should be greater than or equal to 30" in wrong.stderr
    (tmp_path / "main.tf").touch()
    assert "another Terraform project (main.tf)" in account.deploy("plan", f"--directory={tmp_path}").stderr
    account.environment = {**account.environment, "PATH": "/nonexistent"}
    assert "Neither terraform nor tofu is on the PATH" in account.deploy("plan").stderr
