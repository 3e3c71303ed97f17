"""The embedded AWS's resources and Batch's answers, spoken to over HTTP with boto3."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.local_account import LOG_GROUP, QUEUE, WAIT_FOR, LocalAccount

from covalent_awsbatch_plugin.local import LocalAWS

# What is there


def test_the_executors_resources_exist(account: LocalAccount) -> None:
    aws = account.aws
    assert [bucket["Name"] for bucket in aws.client("s3").list_buckets()["Buckets"]] == ["covalent-batch-job-resources"]
    iam = aws.client("iam")
    for role in ("ecsTaskExecutionRole", "CovalentBatchJobRole"):
        trust = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
        assert trust["Statement"][0]["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}
    [policy] = iam.list_attached_role_policies(RoleName="ecsTaskExecutionRole")["AttachedPolicies"]
    assert policy["PolicyName"] == "AmazonECSTaskExecutionRolePolicy"
    [environment] = account.batch.describe_compute_environments()["computeEnvironments"]
    assert environment["computeEnvironmentName"] == "covalent-batch-environment"
    assert environment["computeResources"]["maxvCpus"] == 4
    [queue] = account.batch.describe_job_queues()["jobQueues"]
    assert (queue["jobQueueName"], queue["state"]) == (QUEUE, "ENABLED")
    assert account.logs.describe_log_groups(logGroupNamePrefix=LOG_GROUP)["logGroups"]
    assert aws.client("sts").get_caller_identity()["Account"] == "123456789012"


def test_options_point_the_executor_at_it(account: LocalAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    options = account.aws.options
    assert options.keys() == {"endpoint_url", "credentials"}
    credentials = Path(options["credentials"])
    assert stat.S_IMODE(credentials.stat().st_mode) == 0o600
    assert stat.S_IMODE(credentials.parent.stat().st_mode) == 0o700
    monkeypatch.setenv("AWS_PROFILE", "of-the-user")
    assert account.aws.options["profile"] == "default"
    account.aws.client("sts").get_caller_identity()


def test_only_one_at_a_time(account: LocalAccount) -> None:
    with pytest.raises(RuntimeError, match="already"):
        LocalAWS().start()
    account.aws.client("sts").get_caller_identity()


# Capacity


def test_jobs_beyond_the_vcpus_wait_in_order(account: LocalAccount, tmp_path: Path) -> None:
    go = tmp_path / "go"
    first = account.submit(WAIT_FOR.format(go), vcpus=3)
    account.wait(first, "RUNNING")
    second, third = account.submit("true", vcpus=2), account.submit("true", vcpus=1)
    assert account.describe(second)["status"] == "RUNNABLE"
    assert account.describe(third)["status"] == "RUNNABLE", "first come, first served"
    assert "statusReason" not in account.describe(second)
    go.touch()
    ends = [account.wait(job_id) for job_id in (first, second, third)]
    assert [job["status"] for job in ends] == ["SUCCEEDED"] * 3
    assert ends[1]["startedAt"] >= ends[0]["stoppedAt"]


def test_a_job_that_no_environment_can_hold_says_why(account: LocalAccount) -> None:
    job_id = account.submit("true", vcpus=5)
    job = account.describe(job_id)
    assert job["status"] == "RUNNABLE"
    assert job["statusReason"].startswith("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - ")
    account.batch.terminate_job(jobId=job_id, reason="too big")
    assert account.describe(job_id)["statusReason"] == "too big"


@pytest.mark.parametrize(
    ("resource", "value"), [("MEMORY", str(1024 * 1024)), ("GPU", "1"), ("VCPU", "193")], ids=["memory", "gpu", "vcpu"]
)
def test_a_job_that_no_machine_can_hold_waits_for_ever_and_says_why(
    account: LocalAccount, resource: str, value: str
) -> None:
    resources = [{"type": resource, "value": value}]
    job_id = account.submit("true", containerOverrides={"resourceRequirements": resources})
    behind = account.submit("true")
    job = account.describe(job_id)
    assert job["status"] == "RUNNABLE"
    assert job["statusReason"].startswith("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (")
    assert account.describe(behind)["status"] == "RUNNABLE", "it is at the head of its queue"
    account.batch.terminate_job(jobId=job_id, reason="too big")
    assert account.describe(job_id)["statusReason"] == "too big"
    assert account.wait(behind)["status"] == "SUCCEEDED"


def test_many_at_once(account: LocalAccount) -> None:
    definition = account.define("many")
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda n: account.submit(f"exit {n % 2}", definition=definition, name=f"n{n}"), range(20)))
        jobs = list(pool.map(account.wait, ids))
    assert [job["container"]["exitCode"] for job in jobs] == [n % 2 for n in range(20)]
    assert len({job["jobDefinition"] for job in jobs}) == 1
    spans = [(job["startedAt"], job["stoppedAt"]) for job in jobs]
    assert max(sum(start < other[0] < stop for start, stop in spans) for other in spans) <= 4


# What the service refuses, and its pages


@pytest.mark.parametrize(
    "wrong",
    [
        {"retryStrategy": {"attempts": 11}},
        {"retryStrategy": {"attempts": 2, "evaluateOnExit": [{"onReason": "a*b", "action": "EXIT"}]}},
        {"containerOverrides": {"command": ["sh", ""]}},
        {"containerOverrides": {"environment": [{"name": "AWS_BATCH_JOB_ID", "value": "x"}]}},
        {"containerOverrides": {"environment": [{"name": "A", "value": "x" * 31_000}]}},
        {"jobDefinition": "nowhere"},
        {"jobQueue": "nowhere"},
    ],
)
def test_wrong_submissions_are_refused(account: LocalAccount, wrong: dict[str, Any]) -> None:
    request = {"jobName": "wrong", "jobQueue": QUEUE, "jobDefinition": account.define(), **wrong}
    with pytest.raises(ClientError) as refused:
        account.batch.submit_job(**request)
    assert refused.value.response["Error"]["Code"] == "ClientException"


def test_jobs_are_terminated_together(account: LocalAccount) -> None:
    ids = [account.submit("exec sleep 60") for _ in range(3)]
    answer = account.batch.terminate_jobs(jobs=[*ids, "nowhere"], reason="enough")
    assert (answer["successful"], answer["errors"]) == ([*ids, "nowhere"], [])
    ended = [account.wait(job_id) for job_id in ids]
    assert {(job["status"], job["statusReason"], job["isTerminated"]) for job in ended} == {("FAILED", "enough", True)}
    for wrong in ([], ["x"] * 51):
        with pytest.raises(ClientError, match="1 to 50 job ids"):
            account.batch.terminate_jobs(jobs=wrong, reason="enough")


def test_overrides_that_are_too_long_fail_the_job_later(account: LocalAccount) -> None:
    job = account.run(containerOverrides={"environment": [{"name": "A", "value": "x" * 9000}]})
    assert job["statusReason"] == "Container Overrides length must be at most 8192"


def test_describing_jobs(account: LocalAccount) -> None:
    job = account.run("true")
    assert account.batch.describe_jobs(jobs=[])["jobs"] == []
    assert account.batch.describe_jobs(jobs=["unknown", job["jobId"]])["jobs"] == [job]
    assert account.batch.describe_jobs(jobs=[job["jobArn"]])["jobs"] == [job]
    with pytest.raises(ClientError):
        account.batch.describe_jobs(jobs=["unknown"] * 101)


def test_listing_jobs_by_name_in_pages(account: LocalAccount) -> None:
    definition = account.define("listed")
    ids = {account.submit("true", name=f"listed-{n}", definition=definition) for n in range(3)}
    paginator = account.batch.get_paginator("list_jobs")
    by_name = [{"name": "JOB_NAME", "values": ["LISTED-*"]}]
    pages = list(paginator.paginate(jobQueue=QUEUE, filters=by_name, PaginationConfig={"PageSize": 2}))
    assert [len(page["jobSummaryList"]) for page in pages] == [2, 1]
    assert {summary["jobId"] for page in pages for summary in page["jobSummaryList"]} == ids


def test_job_definitions_in_pages(account: LocalAccount) -> None:
    arns = [account.define("paged", user=str(n)) for n in range(3)]
    account.batch.deregister_job_definition(jobDefinition=arns[2])
    pages = account.batch.get_paginator("describe_job_definitions").paginate(
        jobDefinitionName="paged", status="ACTIVE", PaginationConfig={"PageSize": 1}
    )
    assert [page["jobDefinitions"][0]["jobDefinitionArn"] for page in pages] == arns[:2]
    [one] = account.batch.describe_job_definitions(jobDefinitions=["paged:2"])["jobDefinitions"]
    assert one["containerProperties"]["user"] == "1"
    assert account.describe(account.submit("true", definition="paged"))["jobDefinition"] == arns[1], "the newest active"
    with pytest.raises(ClientError):
        account.submit("true", definition=arns[2])


def test_a_revision_keeps_nothing_of_the_one_before(account: LocalAccount) -> None:
    common: dict[str, Any] = {
        "jobDefinitionName": "revised",
        "type": "container",
        "containerProperties": {"image": "i", "vcpus": 1, "memory": 128},
    }
    account.batch.register_job_definition(**common, retryStrategy={"attempts": 3}, propagateTags=True)
    account.batch.register_job_definition(**common, platformCapabilities=["EC2"])
    [second] = account.batch.describe_job_definitions(jobDefinitions=["revised:2"])["jobDefinitions"]
    assert second["platformCapabilities"] == ["EC2"]
    assert "retryStrategy" not in second
    assert "propagateTags" not in second


# Arrays and dependencies


def test_an_array_and_a_job_that_waits_for_it(account: LocalAccount) -> None:
    definition = account.define("array")
    parent = account.submit("echo $AWS_BATCH_JOB_ARRAY_INDEX", definition=definition, arrayProperties={"size": 3})
    after = account.submit("true", definition=definition, dependsOn=[{"jobId": parent}])
    assert account.wait(after)["status"] == "SUCCEEDED"
    job = account.describe(parent)
    assert (job["status"], job["arrayProperties"]["statusSummary"]["SUCCEEDED"]) == ("SUCCEEDED", 3)
    children = [account.describe(f"{parent}:{index}") for index in range(3)]
    assert [account.output(child) for child in children] == [["0"], ["1"], ["2"]]
    failed = account.submit("exit 1", definition=definition)
    never = account.run("true", definition=definition, dependsOn=[{"jobId": failed}])
    assert (never["status"], never["statusReason"]) == ("FAILED", "Dependent Job failed")
