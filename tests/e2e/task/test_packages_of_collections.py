"""A list that takes a job has the packages of the electrons around it, without which its items cannot be loaded."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import covalent as ct
import pytest
from support.covalent_client import client_of
from support.package_index import Index, wheel

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.local import LocalAWS
from covalent_awsbatch_plugin.local.covalent_server import CovalentServer
from covalent_awsbatch_plugin.task.own_nodes.values import LARGEST_CHARS

NAILS = "class Box:\n    def __init__(self, content):\n        self.content = content\n"
QUICK = {"container_image_uri": "team/jobs:1", "vcpu": 1, "memory": 1, "poll_freq": 1, "retry_attempts": 1}


@pytest.fixture
def nails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A package that this process has, and a job only by `DepsPip`."""
    (tmp_path / "nails.py").write_text(NAILS)
    monkeypatch.syspath_prepend(str(tmp_path))
    import nails

    yield nails
    sys.modules.pop("nails", None)


def test_a_large_list_has_the_packages_of_who_uses_it_and_of_who_fills_it(tmp_path: Path, nails: Any) -> None:
    with Index() as index, LocalAWS(max_vcpus=4, stop_grace=2) as aws:
        index.add("nails", "1.5", wheel("nails", "1.5", {"nails.py": NAILS}))

        def executor(place: str) -> AWSBatchExecutor:
            """Installs into a folder of its own, as in a container of its own."""
            target = {"PIP_TARGET": str(tmp_path / place), "PYTHONPATH": str(tmp_path / place)}
            return AWSBatchExecutor(**aws.options, **QUICK, environment={"PIP_INDEX_URL": index.url, **target})

        uses, fills = executor("uses"), executor("fills")

        @ct.electron(executor=uses, deps_pip=ct.DepsPip(["nails"]))
        def count(boxes: Any) -> Any:
            return len(boxes[0].content)

        @ct.lattice(executor=uses, workflow_executor=uses)
        def used(size: int) -> Any:
            return count([nails.Box(bytes(size))])

        @ct.electron(executor=fills, deps_pip=ct.DepsPip(["nails"]))
        def fill(size: int) -> Any:
            import nails

            return nails.Box(bytes(size))

        @ct.lattice(executor=fills, workflow_executor=fills)
        def filled(size: int) -> Any:
            return [fill(size), 1]

        with CovalentServer(environment=aws.environment) as server, client_of(server) as client:
            dispatches = [client.dispatch(lattice, LARGEST_CHARS) for lattice in (used, filled)]
            counted, listed = [client.completed(dispatch_id).result for dispatch_id in dispatches]
            jobs = [sum(dispatch_id in job.name for job in aws.jobs()) for dispatch_id in dispatches]
    assert counted == LARGEST_CHARS
    assert (len(listed[0].content), listed[1]) == (LARGEST_CHARS, 1)
    assert jobs == [2, 2], "the list, and the electron"
