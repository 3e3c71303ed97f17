"""The other side of the agreement: the program of the public image, as it is, runs what the executor sends.

The program is `exec.py` of covalent-aws-plugins 0.19.0. It works in `/covalent`, which is redirected to the job's
scratch directory; nothing else about it is changed.
"""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import covalent as ct
import pytest
from support.covalent_client import Client, client_of

from covalent_awsbatch_plugin.local import LocalAWS
from covalent_awsbatch_plugin.local.covalent_server import CovalentServer

LAUNCHER = """
import os, runpy, sys

join = os.path.join

def redirected(path, *rest):
    return join(os.getcwd(), *rest) if path == "/covalent" else join(path, *rest)

os.path.join = redirected
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The program's argv, in a virtual environment of its own that sees this one's Covalent and boto3."""
    root = tmp_path_factory.mktemp("image")
    venv.create(root / "venv", symlinks=True)
    python = root / "venv/bin/python"
    packages = Path(
        subprocess.check_output(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
        ).strip()
    )
    (packages / "image.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", packages]
    subprocess.run([*pip, "covalent-aws-plugins==0.19.0"], check=True, timeout=200)
    launcher = root / "launcher.py"
    launcher.write_text(LAUNCHER)
    return [str(python), str(launcher), str(packages / "covalent_aws_plugins/exec.py")]


@pytest.fixture(scope="module")
def aws(program: list[str]) -> Iterator[LocalAWS]:
    with LocalAWS(program=program, max_vcpus=4) as aws:
        yield aws


@pytest.fixture(scope="module")
def client(aws: LocalAWS) -> Iterator[Client]:
    section = {**aws.options, "container_image_uri": "public:stable", "vcpu": 1, "poll_freq": 1, "retry_attempts": 1}
    with (
        CovalentServer(environment=aws.environment, config={"awsbatch": section}) as server,
        client_of(server) as client,
    ):
        yield client


def test_its_result_and_output_come_back(client: Client, aws: LocalAWS) -> None:
    @ct.electron(executor="awsbatch", deps_bash=ct.DepsBash(["echo prepared > marker.txt"]))
    def task(x: int) -> Any:
        print("größer 📈")
        return {"doubled": 2 * x, "marker": Path("marker.txt").read_text(), "blob": bytes(3_000_000)}

    @ct.lattice(executor="local", workflow_executor="local")
    def workflow(x: int) -> Any:
        return task(x)

    result = client.run(workflow, 21)
    assert result.result == {"doubled": 42, "marker": "prepared\n", "blob": bytes(3_000_000)}
    assert client.node(result, "task")["stdout"] == "größer 📈\n"
    names = {
        entry["Key"] for entry in aws.client("s3").list_objects_v2(Bucket="covalent-batch-job-resources")["Contents"]
    }
    assert {name.split("-")[0] for name in names} == {"func", "result", "io_output"}


def test_its_exception_comes_back_with_the_traceback(client: Client) -> None:
    @ct.electron(executor="awsbatch")
    def task() -> Any:
        print("as far as here")
        raise ZeroDivisionError("böse Null")

    @ct.lattice(executor="local", workflow_executor="local")
    def workflow() -> Any:
        return task()

    result = client.wait(client.dispatch(workflow))
    assert str(result.status) == "FAILED"
    node = client.node(result, "task")
    assert node["stdout"] == "as far as here\n"
    # Newer versions of cloudpickle hide the function's file, and with it the line.
    assert ", in task\n" in node["stderr"]
    assert "ZeroDivisionError: böse Null" in node["stderr"]
    assert "HeadObject" not in node["stderr"]


def test_a_container_that_dies_is_explained_without_a_report(client: Client) -> None:
    @ct.electron(executor="awsbatch")
    def task() -> Any:
        import os

        print("about to end", flush=True)
        os._exit(7)

    @ct.lattice(executor="local", workflow_executor="local")
    def workflow() -> Any:
        return task()

    result = client.wait(client.dispatch(workflow))
    stderr = client.node(result, "task")["stderr"]
    assert "exited with code 7" in stderr
    assert "about to end" in stderr, "the log's last lines"
    assert not re.search(r"\b404\b", stderr)
