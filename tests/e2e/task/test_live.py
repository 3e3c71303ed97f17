"""What Covalent shows of an electron while its job runs, on a real server with the embedded AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import covalent as ct
import pytest
from support.covalent_client import Client, client_of
from support.doctor import denying

from covalent_awsbatch_plugin import AWSBatchExecutor
from covalent_awsbatch_plugin.local import LocalAWS
from covalent_awsbatch_plugin.local.covalent_server import CovalentServer

SECTION = {"container_image_uri": "team/jobs:1", "vcpu": 1, "poll_freq": 1}


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAWS]:
    with LocalAWS(max_vcpus=2) as aws:
        yield aws


@pytest.fixture(scope="module")
def client(aws: LocalAWS) -> Iterator[Client]:
    with (
        CovalentServer(config={"awsbatch": {**aws.options, **SECTION}}) as server,
        client_of(server) as client,
    ):
        yield client


def shown(client: Client, dispatch_id: str, name: str, stream: str) -> str:
    """What Covalent has of an electron's stream, while or after it runs."""
    return str(client.node(ct.get_result(dispatch_id), name)[stream] or "")


def test_output_and_state_are_shown_while_it_runs(client: Client, tmp_path: Path) -> None:
    goon = tmp_path / "goon"

    @ct.electron(executor="awsbatch")
    def train(place: str) -> str:
        import time
        from pathlib import Path

        print("epoch 1: loss=0.300", flush=True)
        while not Path(place).exists():
            time.sleep(0.1)
        print("epoch 2: loss=0.200")
        return "trained"

    @ct.lattice(executor="local", workflow_executor="local")
    def workflow(place: str) -> Any:
        return train(place)

    dispatch_id = client.dispatch(workflow, str(goon))
    client.until(lambda: "epoch 1" in shown(client, dispatch_id, "train", "stdout"), "the first line to be shown")
    assert "RUNNING (since " in shown(client, dispatch_id, "train", "stderr")
    goon.touch()
    result = client.completed(dispatch_id)
    node = client.node(result, "train")
    assert node["stdout"] == "epoch 1: loss=0.300\nepoch 2: loss=0.200\n", "each line once"
    assert "RUNNING" not in (node["stderr"] or ""), "what is over is not shown as running"


def test_without_the_right_to_read_logs_the_state_is_shown_all_the_same(aws: LocalAWS, tmp_path: Path) -> None:
    goon = tmp_path / "goon"

    @ct.electron(executor="awsbatch")
    def wait(place: str) -> str:
        import time
        from pathlib import Path

        print("waiting", flush=True)
        while not Path(place).exists():
            time.sleep(0.1)
        return "done"

    @ct.lattice(executor="local", workflow_executor="local")
    def workflow(place: str) -> Any:
        return wait(place)

    with denying(aws, "Logs_20140328.FilterLogEvents") as proxy:
        section = {**aws.options, **SECTION, "endpoint_url": proxy.url}
        with CovalentServer(config={"awsbatch": section}) as server, client_of(server) as client:
            dispatch_id = client.dispatch(workflow, str(goon))
            client.until(lambda: "RUNNING" in shown(client, dispatch_id, "wait", "stderr"), "its state to be shown")
            goon.touch()
            assert client.node(client.completed(dispatch_id), "wait")["stdout"] == "waiting\n"
            assert server.log().count("is shown at its end only: AWS denied logs:FilterLogEvents") == 1


def test_why_one_failed_stands_in_the_log_of_covalents_page(client: Client) -> None:
    @ct.electron(executor="awsbatch")
    def broken() -> None:
        raise ValueError("no such file")

    @ct.lattice(executor="local", workflow_executor="local")
    def workflow() -> Any:
        return broken()

    dispatch_id = client.dispatch(workflow)
    assert str(client.wait(dispatch_id).status) == "FAILED"
    page = json.loads(client.server.get("/api/v1/logs/?count=100&offset=0&sort_by=log_date&direction=DESC"))
    [line] = [one["message"] for one in page["items"] if f"dispatch {dispatch_id}, node 0: " in one["message"]]
    assert "its function raised ValueError in job " in line
    assert "no such file" not in line, "what a function says is for the electron alone"


def test_a_job_that_waits_says_why(client: Client, aws: LocalAWS) -> None:
    @ct.electron(executor="awsbatch")
    def small() -> int:
        return 1

    @ct.lattice(executor="local", workflow_executor="local")
    def workflow() -> Any:
        return small()

    environment = "covalent-batch-environment"
    aws.client("batch").update_compute_environment(computeEnvironment=environment, state="DISABLED")
    try:
        dispatch_id = client.dispatch(workflow)
        client.until(lambda: "is RUNNABLE" in shown(client, dispatch_id, "small", "stderr"), "its state to be shown")
    finally:
        aws.client("batch").update_compute_environment(computeEnvironment=environment, state="ENABLED")
    client.completed(dispatch_id)


def test_a_job_that_runs_says_which_of_its_nodes_have_not_begun(client: Client, aws: LocalAWS) -> None:
    @ct.electron(executor=AWSBatchExecutor(nodes=2))
    def together() -> int:
        from covalent_awsbatch_plugin import nodes

        nodes.barrier()
        return nodes.count()

    @ct.lattice(executor="local", workflow_executor="local")
    def workflow() -> Any:
        return together()

    with aws.node_held(1, "no machine is to be had"):
        dispatch_id = client.dispatch(workflow)
        said = "is RUNNING: node 1 has not begun (RUNNABLE, no machine is to be had)"
        client.until(lambda: said in shown(client, dispatch_id, "together", "stderr"), "the node to be named")
    assert client.completed(dispatch_id).result == 2
