"""Dispatches of which something is asked: an electron that fails twice, and one that runs until a file appears."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import covalent as ct
import pytest
from support.covalent_client import Client, client_of

from covalent_awsbatch_plugin.local import LocalAWS
from covalent_awsbatch_plugin.local.covalent_server import CovalentServer

SECTION = {"container_image_uri": "team/jobs:1", "vcpu": 1, "memory": 0.5, "poll_freq": 1, "retry_attempts": 2}


@dataclass(frozen=True)
class Asked:
    """A Covalent server beside an embedded AWS, and the commands where it runs."""

    aws: LocalAWS
    server: CovalentServer
    client: Client

    def command(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs `covalent-awsbatch` to its end."""
        with self.begun(*arguments, **environment) as process:
            stdout, stderr = process.communicate(timeout=120)
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)

    def begun(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Starts `covalent-awsbatch` where the server runs."""
        return subprocess.Popen(
            [sys.executable, "-m", "covalent_awsbatch_plugin.cli", *arguments],
            env={**self.server.environment, "PYTHONUNBUFFERED": "1", **environment},
            cwd=self.server.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """They stand for all tests of a file; the home outlives the server."""
    home = tmp_path_factory.mktemp("home")
    with (
        LocalAWS(max_vcpus=4, stop_grace=1) as aws,
        CovalentServer(aws.environment, {"awsbatch": {**aws.options, **SECTION}}, home) as server,
        client_of(server) as client,
    ):
        yield Asked(aws, server, client)


@ct.electron(executor="awsbatch")
def fails(rate: float, word: str = "no") -> str:
    import os

    print("this is attempt", os.environ["AWS_BATCH_JOB_ATTEMPT"], flush=True)
    table = {"rows": 3}
    return table[f"{word} {rate}"]  # type: ignore[return-value]


@ct.electron(executor="awsbatch")
def runs(place: str) -> str:
    import time
    from pathlib import Path

    print("epoch 1: loss=0.300", flush=True)
    while not Path(place).exists():
        time.sleep(0.05)
    print("epoch 2: loss=0.200", flush=True)
    return "trained"


@ct.lattice(executor="local", workflow_executor="local")
def workflow(place: str) -> Any:
    return [fails(0.5, word="rate"), runs(place)]


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """The file that ends `runs`."""
    return tmp_path / "gate"


@pytest.fixture
def failing() -> Any:
    """The lattice of both."""
    return workflow


@pytest.fixture(scope="module")
def ended(asked: Asked, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A dispatch of both that has failed."""
    gate = tmp_path_factory.mktemp("gate") / "gate"
    gate.touch()
    dispatch_id = asked.client.dispatch(workflow, str(gate))
    assert str(asked.client.wait(dispatch_id).status) == "FAILED"
    return dispatch_id
