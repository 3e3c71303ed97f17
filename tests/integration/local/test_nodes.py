"""Jobs of several nodes on the embedded AWS: what each node finds, and whose end is the end of the job."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.local_account import ENDED, LOG_GROUP, QUEUE, WAIT_FOR, LocalAccount
from support.processes import poll

LOG = {"logDriver": "awslogs", "options": {"awslogs-group": LOG_GROUP, "awslogs-stream-prefix": "prefix"}}
ONE_VCPU = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "512"}]
OTHER = '[ "$AWS_BATCH_JOB_NODE_INDEX" != 0 ]'


def define(account: LocalAccount, nodes: str = "0:", **more: Any) -> str:
    container = {"image": "image:1", "resourceRequirements": ONE_VCPU, "logConfiguration": LOG}
    properties = {
        "numNodes": 2,
        "mainNode": 0,
        "nodeRangeProperties": [{"targetNodes": nodes, "container": {**container, **more.pop("container", {})}}],
        **more.pop("properties", {}),
    }
    answer = account.batch.register_job_definition(
        jobDefinitionName="nodes", type="multinode", nodeProperties=properties, **more
    )
    return str(answer["jobDefinitionArn"])


def submit(account: LocalAccount, shell: str, count: int = 3, **more: Any) -> str:
    overrides = [{"targetNodes": "0:", "containerOverrides": {"command": ["sh", "-c", shell]}}]
    definition = more.pop("definition", None) or define(account)
    answer = account.batch.submit_job(
        jobName="job",
        jobQueue=QUEUE,
        jobDefinition=definition,
        nodeOverrides={"numNodes": count, "nodePropertyOverrides": overrides},
        **more,
    )
    return str(answer["jobId"])


def nodes_of(account: LocalAccount, job_id: str, count: int = 3) -> list[dict[str, Any]]:
    found = account.batch.describe_jobs(jobs=[f"{job_id}#{index}" for index in range(count)])["jobs"]
    return sorted(found, key=lambda node: node["nodeDetails"]["nodeIndex"])


def ended_nodes(account: LocalAccount, job_id: str, count: int = 3) -> list[dict[str, Any]]:
    def are_there() -> list[dict[str, Any]] | None:
        nodes = nodes_of(account, job_id, count)
        return nodes if all(node["status"] in ENDED for node in nodes) else None

    return poll(are_there, "the end of all nodes")


def test_each_node_has_its_variables_its_address_and_its_log(account: LocalAccount, tmp_path: Path) -> None:
    go = tmp_path / "go"
    names = "JOB_ID JOB_ATTEMPT JOB_NODE_INDEX JOB_NUM_NODES JOB_MAIN_NODE_INDEX JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS"
    shown = " ".join(f"$AWS_BATCH_{name}" for name in names.split())
    job_id = submit(account, f"echo {shown}; touch {tmp_path}/$AWS_BATCH_JOB_NODE_INDEX; {WAIT_FOR.format(go)}")
    poll(lambda: len(list(tmp_path.iterdir())) == 3, "three nodes")
    nodes = nodes_of(account, job_id)
    addresses = [node["container"]["networkInterfaces"][0]["privateIpv4Address"] for node in nodes]
    assert len(set(addresses)) == 3
    assert all(address.startswith("127.") for address in addresses)
    assert [node["nodeDetails"] for node in nodes] == [{"nodeIndex": n, "isMainNode": n == 0} for n in range(3)]
    job = account.describe(job_id)
    assert (job["status"], job["nodeProperties"]["numNodes"], "container" in job) == ("RUNNING", 3, False)
    assert [one["jobId"] for one in account.batch.list_jobs(jobQueue=QUEUE)["jobSummaryList"]] == [job_id]
    listed = account.batch.list_jobs(multiNodeJobId=job_id)["jobSummaryList"]
    assert [one["nodeProperties"]["nodeIndex"] for one in listed] == [0, 1, 2]
    go.touch()
    job = account.wait(job_id)
    assert job["status"] == "SUCCEEDED"
    for index, node in enumerate(ended_nodes(account, job_id)):
        [line] = account.output(node)
        assert line.split() == [f"{job_id}#{index}", "1", str(index), "3", "0", *addresses[:1][: index and 1]]
    [attempt] = job["attempts"]
    assert attempt["container"]["logStreamName"] == nodes[0]["container"]["logStreamName"]
    assert attempt["container"]["exitCode"] == 0


def test_the_end_of_the_main_node_is_the_end_of_the_job(account: LocalAccount, tmp_path: Path) -> None:
    there = f"{tmp_path}/$AWS_BATCH_JOB_NODE_INDEX"
    waits = f"{WAIT_FOR.format(tmp_path / '1')}; {WAIT_FOR.format(tmp_path / '2')}"
    job_id = submit(account, f"touch {there}; {OTHER} && exec sleep 60; {waits}; exit 3")
    job = account.wait(job_id)
    assert (job["status"], job["attempts"][0]["container"]["exitCode"]) == ("FAILED", 3)
    main, *others = ended_nodes(account, job_id)
    assert main["container"]["exitCode"] == 3
    assert [node["status"] for node in others] == ["FAILED"] * 2
    assert all(node["stoppedAt"] >= main["stoppedAt"] for node in others)


def test_nothing_happens_when_another_node_dies(account: LocalAccount, tmp_path: Path) -> None:
    go = tmp_path / "go"
    job_id = submit(account, f'[ "$AWS_BATCH_JOB_NODE_INDEX" = 2 ] && kill -9 $PPID; {WAIT_FOR.format(go)}')
    dead = account.wait(f"{job_id}#2")
    assert (dead["status"], dead["statusReason"][:21]) == ("FAILED", "Host EC2 (instance i-")
    account.wait(f"{job_id}#1", "RUNNING")
    assert account.describe(job_id)["status"] == "RUNNING"
    go.touch()
    assert account.wait(job_id)["status"] == "SUCCEEDED"


@pytest.mark.parametrize("starting", [False, True])
def test_a_node_can_be_held_back_while_its_job_runs(account: LocalAccount, starting: bool) -> None:
    held = "STARTING" if starting else "RUNNABLE"
    with account.aws.node_held(1, "CAPACITY:none", starting=starting):
        job_id = submit(account, "exec sleep 60")
        account.wait(f"{job_id}#2", "RUNNING")
        node = account.wait(f"{job_id}#1", held)
        assert (node["statusReason"], node["attempts"], "startedAt" in node) == ("CAPACITY:none", [], False)
        assert account.describe(job_id)["status"] == "RUNNING"
        account.batch.terminate_job(jobId=job_id, reason="enough")
        node = account.wait(f"{job_id}#1")
        assert (node["status"], node["statusReason"], node["attempts"]) == ("FAILED", "enough", [])
        other = submit(account, "exec sleep 60")
        account.wait(f"{other}#2", "RUNNING")
    account.wait(f"{other}#1", "RUNNING")
    account.batch.terminate_job(jobId=other, reason="enough")
    account.wait(other)


def test_a_node_that_is_held_back_can_be_ended_alone(account: LocalAccount, tmp_path: Path) -> None:
    go = tmp_path / "go"
    with account.aws.node_held(1):
        job_id = submit(account, WAIT_FOR.format(go), count=2)
        account.wait(job_id, "RUNNING")
        account.batch.terminate_job(jobId=f"{job_id}#1", reason="enough")
        assert account.wait(f"{job_id}#1")["status"] == "FAILED"
    go.touch()
    assert account.wait(job_id)["status"] == "SUCCEEDED"


def test_the_failure_of_the_main_node_is_followed_by_another_attempt_of_all(account: LocalAccount) -> None:
    shell = f"echo $AWS_BATCH_JOB_ATTEMPT; {OTHER} && exec sleep 60; exit $((2 - $AWS_BATCH_JOB_ATTEMPT))"
    job_id = submit(account, shell, retryStrategy={"attempts": 3})
    job = account.wait(job_id)
    assert (job["status"], len(job["attempts"])) == ("SUCCEEDED", 2)
    main, *others = ended_nodes(account, job_id)
    assert [attempt["container"]["exitCode"] for attempt in main["attempts"]] == [1, 0]
    assert [len(node["attempts"]) for node in others] == [2, 2]


@pytest.mark.parametrize("state", ["RUNNING", "RUNNABLE"])
def test_a_termination_ends_all_nodes(account: LocalAccount, state: str) -> None:
    before = account.submit("exec sleep 60", vcpus=2) if state == "RUNNABLE" else ""
    job_id = submit(account, "exec sleep 60")
    account.wait(job_id, state)
    if not before:
        account.wait(f"{job_id}#2", "RUNNING")
    account.batch.terminate_job(jobId=job_id, reason="enough")
    job = account.wait(job_id)
    assert (job["status"], job["statusReason"], job["isTerminated"]) == ("FAILED", "enough", True)
    assert {node["statusReason"] for node in ended_nodes(account, job_id)} == {"enough"}
    if before:
        account.batch.terminate_job(jobId=before, reason="enough")


def test_the_nodes_are_placed_together_or_not_at_all(account: LocalAccount, tmp_path: Path) -> None:
    go = tmp_path / "go"
    before = account.submit(WAIT_FOR.format(go), vcpus=2)
    job_id = submit(account, "true")  # three of the four vCPUs
    assert account.describe(job_id)["status"] == "RUNNABLE"
    go.touch()
    assert account.wait(before)["status"] == account.wait(job_id)["status"] == "SUCCEEDED"


def test_the_time_limit_is_the_whole_jobs(account: LocalAccount) -> None:
    job_id = submit(account, "exec sleep 60", timeout={"attemptDurationSeconds": 1})
    job = account.wait(job_id)
    assert (job["status"], job["statusReason"]) == ("FAILED", "Job attempt duration exceeded timeout")
    ended_nodes(account, job_id)


def test_a_queue_of_spot_instances_never_places_it(account: LocalAccount) -> None:
    [environment] = account.batch.describe_compute_environments()["computeEnvironments"]
    spot = {**environment["computeResources"], "type": "SPOT"}
    role = environment["serviceRole"]
    account.batch.create_compute_environment(
        computeEnvironmentName="spot", type="MANAGED", computeResources=spot, serviceRole=role
    )
    order = [{"order": 1, "computeEnvironment": "spot"}]
    account.batch.create_job_queue(jobQueueName="spot", state="ENABLED", priority=1, computeEnvironmentOrder=order)
    answer = account.batch.submit_job(jobName="job", jobQueue="spot", jobDefinition=define(account))
    job = account.describe(answer["jobId"])
    assert (job["status"], job["statusReason"][:16]) == ("RUNNABLE", "MISCONFIGURATION")
    account.batch.terminate_job(jobId=answer["jobId"], reason="enough")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"numNodes": 0}, "numNodes must be more than mainNode"),
        ({"numNodes": 1001}, "at most 1000"),
        ({"nodePropertyOverrides": [{"targetNodes": "0:1"}]}, "Non matching targets - 0:1"),
    ],
)
def test_overrides_that_do_not_fit_the_definition_are_refused(
    account: LocalAccount, wrong: dict[str, Any], said: str
) -> None:
    with pytest.raises(ClientError, match=re.escape(said)):
        account.batch.submit_job(jobName="j", jobQueue=QUEUE, jobDefinition=define(account), nodeOverrides=wrong)


def test_a_closed_range_has_the_definitions_number_of_nodes(account: LocalAccount) -> None:
    definition = define(account, "0:1")
    with pytest.raises(ClientError, match="upper boundary of a node range is open"):
        account.batch.submit_job(jobName="j", jobQueue=QUEUE, jobDefinition=definition, nodeOverrides={"numNodes": 2})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"platformCapabilities": ["FARGATE"]}, "not supported on Fargate"),
        ({"nodes": "1:"}, "must account for all nodes"),
        ({"properties": {"mainNode": 2}}, "numNodes must be more than mainNode"),
        ({"container": {"command": [""]}}, "must not contain an empty string"),
    ],
)
def test_definitions_that_the_service_refuses(account: LocalAccount, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ClientError, match=re.escape(said)):
        define(account, **wrong)


def test_overrides_are_those_of_the_kind_of_job(account: LocalAccount) -> None:
    for definition, overrides in ((define(account), "containerOverrides"), (account.define(), "nodeOverrides")):
        with pytest.raises(ClientError, match=f"{overrides} must not be specified"):
            account.batch.submit_job(
                jobName="j",
                jobQueue=QUEUE,
                jobDefinition=definition,
                **{overrides: {"numNodes": 2} if overrides == "nodeOverrides" else {"command": ["true"]}},
            )
