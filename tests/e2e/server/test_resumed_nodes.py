"""A job of several nodes survives its server: every node runs once, and a failure counts as it would have."""

from __future__ import annotations

from typing import Any

import covalent as ct
import pytest
from support.resuming import Cloud

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor


def together(cloud: Cloud, name: str, executor: AWSBatchExecutor, fails: bool = False) -> Any:
    """An electron that adds the node's number.

    Each node notes its call as `name-number`, and waits for its gate. If it is to fail, node 1 waits for the gate
    `name-fails` and raises, once.
    """
    bucket, gates = cloud.bucket, cloud.gates

    def function(number: int) -> int:
        import time
        import uuid

        import boto3

        from covalent_awsbatch_plugin import nodes

        node, told = nodes.index(), gates / f"{name}-told"
        key = f"{gates.name}/{name}-{node}/{uuid.uuid4().hex}"
        boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=b"")
        nodes.barrier()
        if fails and node == 1 and not told.exists():
            while not (gates / f"{name}-fails").exists():
                time.sleep(0.05)
            told.touch()
            raise ArithmeticError("node 1 gives up")
        while not (gates / name).exists():
            time.sleep(0.05)
        return number + node

    function.__name__ = name
    return ct.electron(function, executor=executor)


def dispatched(cloud: Cloud, *electrons: Any) -> str:
    """Dispatches them side by side."""

    @ct.lattice(executor="local", workflow_executor="local")
    def workflow(number: int) -> Any:
        return [electron(number) for electron in electrons]

    return cloud.client.dispatch(workflow, 1)


def node_is(cloud: Cloud, job_id: str, index: int, status: str) -> None:
    """Waits until a node of a job has this state."""
    batch, node = cloud.aws.client("batch"), f"{job_id}#{index}"
    cloud.client.until(
        lambda: batch.describe_jobs(jobs=[node])["jobs"][0]["status"] == status, f"{node} to be {status}", 60
    )


@pytest.mark.parametrize("end", ["kill", "interrupt"])
@pytest.mark.parametrize("goes_on", [True, False], ids=["goes-on", "ends-meanwhile"])
def test_every_node_runs_once_and_the_results_are_theirs(cloud: Cloud, end: str, goes_on: bool) -> None:
    main = together(cloud, "main", AWSBatchExecutor(nodes=3))
    every = together(cloud, "every", AWSBatchExecutor(nodes=2, node_results="all"))
    dispatch = dispatched(cloud, main, every)
    called = ["main-0", "main-1", "main-2", "every-0", "every-1"]
    cloud.called(*called)
    getattr(cloud.server, end)()
    cloud.jobs_are(dispatch, "RUNNING", "RUNNING")
    if not goes_on:
        cloud.open("main", "every")
        cloud.jobs_are(dispatch, "SUCCEEDED", "SUCCEEDED")
    cloud.server.start()
    assert cloud.resume("--all") == {dispatch: "resumed"}
    cloud.open("main", "every")
    assert cloud.client.completed(dispatch).result == [1, [1, 2]]
    assert cloud.calls() == dict.fromkeys(called, 1)
    assert len(cloud.jobs(dispatch)) == 2


@pytest.mark.parametrize("end", ["kill", "interrupt"])
def test_a_node_that_fails_while_there_is_no_server_is_followed_by_another_attempt(cloud: Cloud, end: str) -> None:
    executor = AWSBatchExecutor(nodes=2, node_results="all", retry_attempts=2)
    dispatch = dispatched(cloud, together(cloud, "pair", executor, fails=True))
    cloud.called("pair-0", "pair-1")
    getattr(cloud.server, end)()
    cloud.open("pair-fails")
    [job] = cloud.jobs(dispatch)
    node_is(cloud, job.id, 1, "FAILED")
    cloud.jobs_are(dispatch, "RUNNING")
    cloud.server.start()
    assert cloud.resume("--all") == {dispatch: "resumed"}
    cloud.jobs_are(dispatch, "FAILED", "RUNNING")
    cloud.open("pair")
    assert cloud.client.completed(dispatch).result == [[1, 2]]
    assert cloud.calls() == {"pair-0": 2, "pair-1": 2}
    assert len(cloud.jobs(dispatch)) == 2


def test_a_node_that_fails_while_there_is_no_server_fails_its_task_where_no_attempt_is_left(cloud: Cloud) -> None:
    dispatch = dispatched(cloud, together(cloud, "pair", AWSBatchExecutor(nodes=2), fails=True))
    cloud.called("pair-0", "pair-1")
    cloud.server.kill()
    cloud.open("pair-fails")
    [job] = cloud.jobs(dispatch)
    node_is(cloud, job.id, 1, "FAILED")
    cloud.server.start()
    assert cloud.resume("--all") == {dispatch: "resumed"}
    result = cloud.client.wait(dispatch)
    error = cloud.client.node(result, "pair")["stderr"]
    assert str(result.status) == "FAILED"
    assert "ArithmeticError: node 1 gives up" in error
    assert f"That was node 1 of the 2 of job {job.id}, which ended with it." in error
    assert cloud.calls() == {"pair-0": 1, "pair-1": 1}
    cloud.jobs_are(dispatch, "FAILED")


def test_the_job_that_follows_is_not_submitted_a_second_time(cloud: Cloud) -> None:
    """Its server is killed before it has told Covalent of that one, which ends while there is none."""
    executor = AWSBatchExecutor(nodes=2, node_results="all", retry_attempts=3)
    dispatch = dispatched(cloud, together(cloud, "pair", executor, fails=True))
    cloud.called("pair-0", "pair-1")
    [task] = (f"{dispatch}-{node['id']}" for node in cloud.graph(dispatch) if node["name"] == "pair")
    cloud.way.hold({task: "answer"})
    cloud.open("pair-fails")
    cloud.client.until(lambda: cloud.way.held == {task}, "the second submission", 60)
    cloud.server.kill()
    cloud.way.release()
    cloud.open("pair")
    cloud.jobs_are(dispatch, "FAILED", "SUCCEEDED")
    cloud.server.start()
    assert cloud.resume("--all") == {dispatch: "resumed"}
    assert cloud.client.completed(dispatch).result == [[1, 2]]
    assert cloud.calls() == {"pair-0": 2, "pair-1": 2}
    assert len(cloud.jobs(dispatch)) == 2
