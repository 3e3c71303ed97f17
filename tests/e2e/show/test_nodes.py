"""`covalent-awsbatch logs`, `why` and `report` of a dispatch whose job has several nodes."""

from __future__ import annotations

import json
from typing import Any

import covalent as ct
import pytest

from covalent_awsbatch_plugin import AWSBatchExecutor


@ct.electron(executor=AWSBatchExecutor(nodes=2, retry_attempts=1))
def train(rate: float) -> float:
    from covalent_awsbatch_plugin import nodes

    print(f"node {nodes.index()} of {nodes.count()} begins", flush=True)
    nodes.barrier()
    if nodes.index() == 1:
        raise ArithmeticError(f"rate {rate} is too high")
    nodes.barrier()
    return rate


@ct.lattice(executor="local", workflow_executor="local")
def workflow(rate: float) -> Any:
    return train(rate)


@pytest.mark.timeout(300)
def test_nodes_are_told_apart_and_the_one_that_failed_is_named(asked: Any) -> None:
    dispatch_id = asked.client.dispatch(workflow, 0.5)
    assert str(asked.client.wait(dispatch_id).status) == "FAILED"

    lines = asked.command("logs", dispatch_id[:8]).stdout.splitlines()
    for node in (0, 1):
        assert any(line.startswith(f"train[0]#{node} │") and f"node {node} of 2 begins" in line for line in lines), (
            lines
        )

    (failure,) = json.loads(asked.command("why", dispatch_id[:8], "--json").stdout)["failures"]
    assert "ArithmeticError: rate 0.5 is too high" in failure["sentence"]
    assert "That was node 1 of the 2 of job" in failure["sentence"] + failure["traceback"]

    told = json.loads(asked.command("report", dispatch_id[:8], "--json").stdout)
    (electron,) = [one for one in told["electrons"] if one["asked"]]
    assert electron["asked"]["nodes"] == 2
