"""From an empty account to a running workflow and back: with `covalent deploy`, and with `covalent-awsbatch deploy`.

Each is a long story, most of which is the provider's waiting: half a minute for a queue to be made, a whole
one until it is gone, another one for a bucket's rules. Hence they run at the same time, each in an account of its own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import toml
from support.accounts import Account, account, put_image
from support.inventory import inventory
from support.paths import ROOT
from support.resources import (
    check_adapter,
    check_bucket,
    check_group,
    check_machines,
    check_stacks,
    check_templates,
    environments,
)
from support.terraform import install

import covalent_awsbatch_plugin
from covalent_awsbatch_plugin.local import LocalAWS
from covalent_awsbatch_plugin.local.covalent_server import CovalentServer

BIN = Path(sys.executable).parent
REGISTRY = "123456789012.dkr.ecr.{region}.amazonaws.com"

Done = subprocess.CompletedProcess[str]


class Machine:
    """A user's machine: a home, a PATH, and an installation of the package that may be written to."""

    def __init__(self, directory: Path, binaries: Path, region: str) -> None:
        self.home = directory / "home"
        self.home.mkdir(parents=True)
        site = directory / "site"
        package = Path(covalent_awsbatch_plugin.__file__).parent
        # Without what `covalent deploy` left beside the files of an editable installation.
        shutil.copytree(
            package, site / package.name, ignore=shutil.ignore_patterns(".terraform*", "*tfstate*", "*.tfvars")
        )
        self.infra = site / package.name / "assets/infra"
        self.deployment = self.home / "data/covalent-awsbatch/far"
        self.environment = {
            "PATH": f"{binaries}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "XDG_DATA_HOME": str(self.home / "data"),
            "PYTHONPATH": str(site),
            "COLUMNS": "120",
            "AWS_REGION": region,
        }

    def run(self, *command: str, answer: str = "", status: int = 0) -> str:
        """Runs a program of this machine to its end, which has to have this exit status, and returns what it said."""
        done = subprocess.run(
            [BIN / command[0], *command[1:]],
            env=self.environment,
            cwd=self.home,
            input=answer,
            capture_output=True,
            text=True,
            check=False,
            timeout=400,
        )
        assert done.returncode == status, (
            f"{command}: {done.returncode}\n{done.stderr}\n{done.stdout[-3000:]}\n{self.trouble()}"
        )
        return done.stdout

    def trouble(self) -> str:
        """What Terraform's provider tells of repeated requests and of refusals, and what the account complains of."""
        account, provider = (self.home / "account.log"), (self.home / "terraform.log")
        lines = provider.read_text(encoding="utf-8", errors="replace").splitlines() if provider.exists() else []
        told = [line[:600] for line in lines if re.search(r"retry|attempt=[2-9]|status_code=[45]\d\d", line)]
        complaints = account.read_text(encoding="utf-8") if account.exists() else ""
        return "\n".join([*told[-20:], complaints[-3000:]])

    def doctor(self, *flags: str) -> dict[str, str]:
        """What the doctor says of each thing that a task needs; all is well, or its exit status is not 0."""
        checks = json.loads(self.run("covalent-awsbatch", "doctor", "--json", *flags))["checks"]
        return {one["name"]: one["state"] for one in checks}

    @property
    def section(self) -> dict[str, Any]:
        """The executor's section of Covalent's configuration."""
        conf = self.home / ".config/covalent/covalent.conf"
        content = toml.load(conf) if conf.exists() else {}
        return dict(content.get("executors", {}).get("awsbatch", {}))

    def covalent_status(self) -> str:
        """What `covalent deploy status awsbatch` says of it."""
        told = self.run("covalent", "deploy", "status", "awsbatch")
        line = next((line for line in told.splitlines() if "awsbatch" in line and "│" in line), None)
        assert line, told
        return line.split("│")[2].strip()


def with_covalent(aws: LocalAWS, machine: Machine) -> None:
    """A failure and its end, then spot machines, all options, the doctor, the demo's workflow, and nothing left."""
    place = [f"--endpoint_url={aws.endpoint_url}", f"--credentials={aws.options['credentials']}", "--prefix=lab"]
    before = inventory(aws.client)
    assert machine.covalent_status() == "down"

    # Neither the bucket nor a machine of that type can be had; the network and the roles are made.
    wrong = ["--s3_bucket_name=covalent-batch-job-resources", "--instance_types=q9.huge"]
    told = machine.run("covalent", "deploy", "up", "awsbatch", *place, *wrong, status=1)
    assert "q9.huge" in told
    assert inventory(aws.client) > before
    assert machine.covalent_status() == "*up"
    assert machine.section.get("batch_queue") != "lab-queue"
    machine.run("covalent", "deploy", "down", "awsbatch")
    assert machine.covalent_status() == "down"
    assert inventory(aws.client) == before

    image = f"{REGISTRY.format(region='us-east-1')}/lab:1"
    options = [
        "--vcpus=1",
        "--aws_batch_job_definition=lab-jobs",
        "--memory=0.5",
        "--poll_freq=1",
        "--tags=team:physics",
        "--environment=OMP_NUM_THREADS:1",
    ]
    queue = ["--capacity=SPOT,EC2", "--scale_down_delay=30", "--create_ecr=true", f"--container_image_uri={image}"]
    machine.run("covalent", "deploy", "up", "awsbatch", *place, *queue, *options)
    assert machine.covalent_status() == "up"
    section = machine.section
    assert (section["batch_queue"], section["vcpu"], section["tags"]) == ("lab-queue", 1, {"team": "physics"})
    assert section["batch_job_definition_name"] == "lab-jobs"
    check_bucket(aws.client, section)
    resources = environments(aws.client, section)
    assert [one["type"] for one in resources] == ["SPOT", "EC2"]
    assert [one["scalingPolicy"]["minScaleDownDelayMinutes"] for one in resources] == [30, 30]
    check_machines(aws.client, resources[0])

    put_image(aws.client("ecr"), "lab", "1")
    assert set(machine.doctor().values()) == {"well"}

    workflow = ROOT / "python/covalent_awsbatch_plugin/local/svm_workflow.py"
    with CovalentServer(config={"awsbatch": section}) as server:
        result = server.run_script(workflow, timeout=120)
        assert result.returncode == 0, f"{result.stdout}{result.stderr}\n{server.log()[-4000:]}"
        assert 0.5 < float(result.stdout.splitlines()[-1]) <= 1
    (job,) = aws.jobs()
    assert job.status == "SUCCEEDED"
    (described,) = aws.client("batch").describe_jobs(jobs=[job.id])["jobs"]
    assert described["tags"]["team"] == "physics"
    assert {"name": "OMP_NUM_THREADS", "value": "1"} in described["container"]["environment"]

    machine.run("covalent", "deploy", "down", "awsbatch")
    assert machine.covalent_status() == "down"
    assert inventory(aws.client) == before
    assert not (machine.infra / "awsbatch.conf").exists()


def with_our_own(aws: Account, machine: Machine, tmp_path: Path) -> None:
    """A refusal and a Ctrl-C, then Fargate, the state in S3, a job, and nothing left."""
    aws.client("s3").create_bucket(Bucket="states", CreateBucketConfiguration={"LocationConstraint": aws.region})
    before = inventory(aws.client)
    image = f"{REGISTRY.format(region=aws.region)}/far:1"
    file = tmp_path / "terraform.tfvars"
    file.write_text(
        f'# ours\nprefix = "far"\ncapacity = "FARGATE_SPOT,FARGATE"\ncreate_ecr = true\nvcpu = 1\ndisk_gb = 30\n'
        f'tags = {{ team = "physics" }}\ncontainer_image_uri = "{image}"\n'
        f'endpoint_url = "{aws.endpoint_url}"\ncredentials = "{aws.credentials}"\n',
        encoding="utf-8",
    )
    deploy = ["covalent-awsbatch", "deploy"]
    place = [f"--var-file={file}", "--backend=s3://states/far.tfstate"]

    told = machine.run(*deploy, "up", *place, answer="n\n", status=1)
    assert re.search(r"\d\d to add, 0 to change", told)
    assert inventory(aws.client) == before

    assert "undo it with `down`" in interrupted(machine, [*deploy, "up", *place, "--yes"])
    which = ["--prefix=far", "--backend=s3://states/far.tfstate"]
    assert machine.run(*deploy, "status", *which, status=1).startswith("incomplete: ")

    told = machine.run(*deploy, "up", *which, "--yes")  # the variables are remembered
    assert "created  aws_batch_job_queue.this" in told
    assert '+batch_queue = "far-queue"' in told
    assert machine.section == {
        "credentials": aws.credentials,
        "region": aws.region,
        "endpoint_url": aws.endpoint_url,
        "s3_bucket_name": f"far-123456789012-{aws.region}",
        "batch_queue": "far-queue",
        "batch_execution_role_name": f"far-{aws.region}-execution",
        "batch_job_role_name": f"far-{aws.region}-job",
        "batch_job_log_group_name": "far-job-logs",
        "ecr_repo_name": "far",
        "platform": "FARGATE",
        "ephemeral_storage": 30,
        "vcpu": 1,
        "tags": '{"team":"physics"}',
        "container_image_uri": image,
    }
    resources = environments(aws.client, machine.section)
    assert [one["type"] for one in resources] == ["FARGATE_SPOT", "FARGATE"]
    check_group(aws.client, resources[0])

    elsewhere = machine.run(*deploy, "plan", *place, f"--directory={tmp_path / 'elsewhere'}")
    assert elsewhere.splitlines() == ["Nothing to do: everything is as it should be."]
    for asked in (which, [*place, f"--directory={tmp_path / 'elsewhere'}"]):
        assert json.loads(machine.run(*deploy, "status", *asked, "--json"))["status"] == "up"

    put_image(aws.client("ecr"), "far", "1")
    assert set(machine.doctor("--run").values()) == {"well"}

    # A change that fails, and everything there was is still there; then the end of it all.
    (machine.deployment / "awsbatch.conf").unlink()
    (machine.deployment / "awsbatch.conf").mkdir()
    machine.run(*deploy, "up", *which, "--yes", "--memory=2", status=1)
    assert machine.run(*deploy, "status", *which, status=1).startswith("incomplete: ")
    (machine.deployment / "awsbatch.conf").rmdir()

    machine.run(*deploy, "down", *which, "--yes")
    assert inventory(aws.client) == before
    left = machine.section  # by now with Covalent's defaults, which it writes wherever it is imported
    assert (left["vcpu"], left["tags"]) == (1, '{"team":"physics"}')
    assert not {"batch_queue", "s3_bucket_name", "endpoint_url", "platform", "ephemeral_storage"} & left.keys()
    assert machine.run(*deploy, "status", *which).startswith("down: 0 resources")


def with_changes(aws: Account, machine: Machine) -> None:
    """What stands in the machines' launch template is changed by one `up`, and the queue has machines like that."""
    before = inventory(aws.client)
    deploy = ["covalent-awsbatch", "deploy"]
    place = ["--prefix=near", f"--endpoint-url={aws.endpoint_url}", f"--credentials={aws.credentials}"]
    machine.run(*deploy, "up", *place, "--capacity=SPOT,EC2", "--yes")
    check_templates(aws.client, machine.section, 100, {"covalent-awsbatch": "near", "Name": "near"})

    machine.run(*deploy, "up", "--prefix=near", "--yes", "--disk-gb=200", "--tags=a:b")
    told = machine.run(*deploy, "plan", "--prefix=near")
    assert told.splitlines() == ["Nothing to do: everything is as it should be."]
    check_templates(aws.client, machine.section, 200, {"a": "b", "covalent-awsbatch": "near", "Name": "near"})
    assert [one["type"] for one in environments(aws.client, machine.section)] == ["SPOT", "EC2"]
    assert machine.run(*deploy, "status", "--prefix=near").startswith("up: ")

    machine.run(*deploy, "down", "--prefix=near", "--yes")
    assert inventory(aws.client) == before


def with_stacks(aws: Account, machine: Machine) -> None:
    """Machines that wait, then types in an order, then neither: the queue has each, and nothing stays behind."""
    before = inventory(aws.client)
    deploy, place = ["covalent-awsbatch", "deploy"], "--prefix=warm"
    where = [f"--endpoint-url={aws.endpoint_url}", f"--credentials={aws.credentials}"]

    def up(*options: str) -> tuple[str, dict[str, Any]]:
        told = machine.run(*deploy, "up", place, "--yes", *options)
        check_stacks(aws.client)
        [resources] = environments(aws.client, machine.section)
        return told, {**resources, "subnets": sorted(resources["subnets"])}

    _, usual = up(*where)
    told, resources = up("--scale-down-delay=30")
    assert 'deleted  aws_batch_compute_environment.this["EC2"]' in told
    assert resources == {**usual, "scalingPolicy": {"minScaleDownDelayMinutes": 30}}
    again = machine.run(*deploy, "plan", place)
    assert again.splitlines() == ["Nothing to do: everything is as it should be."]

    # What an `up` leaves that ended while CloudFormation made it: a stack without an environment.
    stack, terraform = (
        'aws_cloudformation_stack.environment["EC2"]',
        shutil.which("terraform", path=machine.environment["PATH"]),
    )
    assert terraform
    [state] = [path for path in machine.home.rglob("terraform.tfstate") if "warm" in path.parts[-2]]
    subprocess.run([terraform, f"-chdir={state.parent}", "taint", stack], check=True, env=machine.environment)
    told, resources = up()
    assert f"deleted  {stack}" in told, "another one has its place"
    assert resources == {**usual, "scalingPolicy": {"minScaleDownDelayMinutes": 30}}

    told, resources = up("--max-vcpus=64")
    assert 'changed  aws_cloudformation_stack.environment["EC2"]' in told, "where it is"
    assert resources == {**usual, "maxvCpus": 64, "scalingPolicy": {"minScaleDownDelayMinutes": 30}}

    types = ["m6i.large", "c6i.large", "m5"]
    order = ["--allocation-strategy=BEST_FIT_PROGRESSIVE_ORDERED", f"--instance-types={','.join(types)}"]
    told, resources = up("--scale-down-delay=0", *order)
    assert 'deleted  aws_cloudformation_stack.environment["EC2"]' in told
    expected = {"maxvCpus": 64, "instanceTypes": types, "allocationStrategy": "BEST_FIT_PROGRESSIVE_ORDERED"}
    assert resources == {**usual, **expected}

    _, resources = up("--allocation-strategy=", "--instance-types=optimal")
    assert resources == {**usual, "maxvCpus": 64}

    machine.run(*deploy, "down", place, "--yes")
    assert inventory(aws.client) == before


def with_adapters(aws: Account, machine: Machine) -> None:
    """A type of machine that has no Elastic Fabric Adapter, then one that has."""
    before = inventory(aws.client)
    deploy = ["covalent-awsbatch", "deploy"]
    place = ["--prefix=efa", f"--endpoint-url={aws.endpoint_url}", f"--credentials={aws.credentials}"]
    nodes = ["--multi-node", "--efa", "--vcpu=36", "--memory=100"]
    machine.run(*deploy, "plan", *place, *nodes, "--instance-types=c5n.18xlarge,c5n.9xlarge,c5n.4xlarge", status=1)

    machine.run(*deploy, "up", *place, "--yes", *nodes, "--instance-types=c5n.18xlarge")
    told = machine.run(*deploy, "plan", "--prefix=efa")
    assert told.splitlines() == ["Nothing to do: everything is as it should be."]
    [resources] = environments(aws.client, machine.section)
    check_adapter(aws.client, resources)
    assert machine.section["efa"] is True

    machine.run(*deploy, "down", "--prefix=efa", "--yes")
    assert inventory(aws.client) == before


def interrupted(machine: Machine, command: list[str]) -> str:
    """Runs a command that Ctrl-C ends while it waits for subnets that AWS has already, and returns what it says."""
    with subprocess.Popen(
        [BIN / command[0], *command[1:]],
        env=machine.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert any(line.startswith("created  aws_vpc_endpoint.s3") for line in process.stdout)
        os.killpg(process.pid, signal.SIGINT)
        told, complaint = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "Stopping as soon as AWS has answered" in told
    assert "Interrupted." in complaint
    return complaint


def logged(directory: Path) -> dict[str, str]:
    """Variables with which Terraform's provider logs its requests where `Machine.trouble` looks for them."""
    return {"TF_LOG_PROVIDER": "DEBUG", "TF_LOG_PATH": str(directory / "home/terraform.log")}


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[None]]]:
    """All of them, begun."""
    names = ("covalent", "ours", "changes", "stacks", "adapters")
    covalent, ours, changes, stacks, adapters = (tmp_path_factory.mktemp(name) for name in names)
    machines = [
        Machine(covalent, install(covalent, for_covalent=True, variables=logged(covalent)), "us-east-1"),
        Machine(ours, install(ours, variables=logged(ours)), "eu-central-1"),
        Machine(changes, install(changes, variables=logged(changes)), "eu-west-1"),
        Machine(stacks, install(stacks, variables=logged(stacks)), "eu-west-2"),
        Machine(adapters, install(adapters, variables=logged(adapters)), "us-west-2"),
    ]
    for name in ("git", "docker"):  # Covalent looks whether they are there, and uses neither
        if not shutil.which(name):
            (covalent / "bin" / name).symlink_to("/bin/true")
    with (
        LocalAWS(stop_grace=2) as first,
        account(machines[1].home, "eu-central-1") as second,
        account(machines[2].home, "eu-west-1") as third,
        account(machines[3].home, "eu-west-2") as fourth,
        account(machines[4].home, "us-west-2") as fifth,
        ThreadPoolExecutor() as pool,
    ):
        yield {
            "covalent": pool.submit(with_covalent, first, machines[0]),
            "ours": pool.submit(with_our_own, second, machines[1], ours),
            "changes": pool.submit(with_changes, third, machines[2]),
            "stacks": pool.submit(with_stacks, fourth, machines[3]),
            "adapters": pool.submit(with_adapters, fifth, machines[4]),
        }


@pytest.mark.timeout(900)
@pytest.mark.parametrize("program", ["covalent", "ours", "changes", "stacks", "adapters"])
def test_from_an_empty_account_to_a_workflow_and_back(stories: dict[str, Future[None]], program: str) -> None:
    stories[program].result()
