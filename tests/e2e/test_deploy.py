"""Covalent's own `covalent deploy` on a copy of the package: a failure, a deployment, a workflow, and nothing left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import covalent as ct
import pytest
import toml

import covalent_awsbatch_plugin
from covalent_awsbatch_plugin.local import LocalAWS
from covalent_awsbatch_plugin.local.covalent_server import CovalentServer

if TYPE_CHECKING:
    from tests.e2e.conftest import Client

sys.path.append(str(Path(__file__).parents[1]))  # for `support`: pytest's importlib mode adds nothing by itself
from support.inventory import inventory
from support.terraform import install


class Machine:
    """A user's machine: a home, a PATH, and an installation of the package that may be written to."""

    def __init__(self, aws: LocalAWS, directory: Path) -> None:
        self.home = directory / "home"
        self.home.mkdir()
        site = directory / "site"
        package = Path(covalent_awsbatch_plugin.__file__).parent
        # Without what `covalent deploy` left beside the files of an editable installation.
        shutil.copytree(
            package, site / package.name, ignore=shutil.ignore_patterns(".terraform*", "*tfstate*", "*.tfvars")
        )
        self.infra = site / package.name / "assets/infra"
        binaries = install(directory, for_covalent=True)
        for name in ("git", "docker"):  # Covalent looks whether they are there, and uses neither
            if not shutil.which(name):
                (binaries / name).symlink_to("/bin/true")
        self.environment = {
            "PATH": f"{binaries}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "PYTHONPATH": str(site),
            "COLUMNS": "120",
        }
        self.place = [f"--endpoint_url={aws.endpoint_url}", f"--credentials={aws.options['credentials']}"]

    def deploy(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `covalent deploy` to its end."""
        return subprocess.run(
            [Path(sys.executable).with_name("covalent"), "deploy", *arguments],
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )

    def status(self) -> str:
        """What `covalent deploy status awsbatch` says of it."""
        told = self.deploy("status", "awsbatch")
        line = next((line for line in told.stdout.splitlines() if "awsbatch" in line and "│" in line), None)
        assert line, told.stdout + told.stderr
        return line.split("│")[2].strip()


@pytest.fixture
def aws() -> Iterator[LocalAWS]:
    with LocalAWS(stop_grace=2) as aws:
        yield aws


@pytest.fixture
def machine(aws: LocalAWS, tmp_path: Path) -> Machine:
    return Machine(aws, tmp_path)


@pytest.mark.timeout(600)  # most of it is the provider's waiting for a queue and a bucket to settle
def test_up_status_and_down(
    aws: LocalAWS, machine: Machine, client_of: Callable[[CovalentServer], AbstractContextManager[Client]]
) -> None:
    before = inventory(aws.client)
    assert machine.status() == "down"

    # Somebody has a role of this name: all the rest is created.
    taken = machine.deploy(
        "up", "awsbatch", *machine.place, "--prefix=lab", "--batch_job_role_name=CovalentBatchJobRole"
    )
    assert taken.returncode == 1, taken.stdout + taken.stderr
    assert "CovalentBatchJobRole" in taken.stdout
    assert machine.status() == "*up"

    done = machine.deploy("up", "awsbatch", *machine.place, "--prefix=lab", "--vcpu=1", "--memory=0.5", "--poll_freq=1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert machine.status() == "up"
    section = toml.load(machine.home / ".config/covalent/covalent.conf")["executors"]["awsbatch"]
    assert (section["batch_queue"], section["vcpu"]) == ("lab-queue", 1)

    @ct.electron(executor="awsbatch")
    def double(number: int) -> int:
        return 2 * number

    @ct.lattice(executor="local")
    def workflow(number: int) -> int:
        return double(number)  # type: ignore[no-any-return]

    with CovalentServer(config={"awsbatch": section}) as server, client_of(server) as client:
        assert client.run(workflow, 21).result == 42
    (job,) = aws.jobs()
    assert job.status == "SUCCEEDED"

    gone = machine.deploy("down", "awsbatch")
    assert gone.returncode == 0, gone.stdout + gone.stderr
    assert machine.status() == "down"
    assert inventory(aws.client) == before
    assert not (machine.infra / "awsbatch.conf").exists()
