"""The laboratory's AWS Batch: what it takes, and what becomes of jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from lab import BUCKET, QUEUE, Lab, Queue, endings
from lab.endings import STUCK, Ending
from lab.plain import ask
from support.bench import decoded
from support.boto import code

IMAGE = {"image": "image:1", "vcpus": 1, "memory": 2048}


@pytest.fixture(scope="module")
def running() -> Iterator[Lab]:
    with Lab(seed=7, queues={QUEUE: Queue(), "closed": Queue(state="DISABLED")}) as lab:
        yield lab


def submit(batch: Any, name: str = "job", result: str = "", **more: Any) -> str:
    batch.register_job_definition(jobDefinitionName="d", type="container", containerProperties=IMAGE)
    if result:
        variables = {"S3_BUCKET_NAME": BUCKET, "RESULT_FILENAME": result}
        environment = [{"name": name, "value": value} for name, value in variables.items()]
        more["containerOverrides"] = {"environment": environment}
    job_id: str = batch.submit_job(jobName=name, jobQueue=QUEUE, jobDefinition="d", **more)["jobId"]
    return job_id


def described(batch: Any, job_id: str) -> Any:
    [job] = batch.describe_jobs(jobs=[job_id])["jobs"]
    return job


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"jobName": "a/b"}, "jobName should match"),
        ({"jobName": "x" * 129}, "jobName should match"),
        ({"jobQueue": "other"}, "JobQueue other not found"),
        ({"jobQueue": "closed"}, "DISABLED"),
        ({"jobDefinition": "d:9"}, "JobDefinition d:9 not found"),
        ({"retryStrategy": {"attempts": 11}}, "attempts must be between"),
        (
            {"retryStrategy": {"attempts": 2, "evaluateOnExit": [{"action": "EXIT", "onReason": "*"}] * 6}},
            "at most 5 entries",
        ),
        (
            {"retryStrategy": {"attempts": 2, "evaluateOnExit": [{"action": "EXIT", "onReason": "*x"}]}},
            "may only end in",
        ),
        ({"timeout": {"attemptDurationSeconds": 59}}, "at least 60"),
        ({"containerOverrides": {"environment": [{"name": "AWS_BATCH_X", "value": ""}]}}, "AWS_BATCH"),
        ({"containerOverrides": {"environment": [{"name": "A", "value": "x" * 31_000}]}}, "30 KiB"),
        ({"containerOverrides": {"command": ["a", ""]}}, "empty strings"),
        ({"containerOverrides": {"resourceRequirements": [{"type": "MEMORY", "value": "1.5"}]}}, "whole number"),
        ({"tags": {str(number): "" for number in range(51)}}, "50 tags"),
    ],
)
def test_batch_refuses_a_job(lab: Lab, batch: Any, more: dict[str, Any], message: str) -> None:
    batch.register_job_definition(jobDefinitionName="d", type="container", containerProperties=IMAGE)
    with pytest.raises(ClientError, match=message) as error:
        batch.submit_job(**{"jobName": "job", "jobQueue": QUEUE, "jobDefinition": "d", **more})
    assert code(error) == ("ClientException", 400)
    assert lab.jobs() == []


def test_overrides_that_are_too_long_fail_the_job_later(lab: Lab, batch: Any) -> None:
    job = submit(batch, containerOverrides={"environment": [{"name": "A", "value": "x" * 9000}]})
    assert described(batch, job)["statusReason"] == "Container Overrides length must be at most 8192"
    assert lab.jobs()[0].status == "FAILED"


def test_definitions_have_revisions_and_pages(lab: Lab, batch: Any) -> None:
    for _ in range(101):
        batch.register_job_definition(jobDefinitionName="d", type="container", containerProperties=IMAGE)
    batch.deregister_job_definition(jobDefinition="d:101")
    pages = batch.get_paginator("describe_job_definitions").paginate(jobDefinitionName="d", status="ACTIVE")
    assert [len(page["jobDefinitions"]) for page in pages] == [100]
    everything = batch.get_paginator("describe_job_definitions").paginate(jobDefinitionName="d")
    assert [len(page["jobDefinitions"]) for page in everything] == [100, 1]
    with pytest.raises(ClientError, match="not found or not active"):
        batch.submit_job(jobName="job", jobQueue=QUEUE, jobDefinition="d:101")
    assert len(lab.definitions()) == 101


def test_jobs_are_listed_as_the_service_does(lab: Lab, batch: Any) -> None:
    lab.choose("running-*", endings.runs_for_ever())
    done, running = submit(batch, "done-1"), submit(batch, "running-1")

    def listed(**more: Any) -> list[str]:
        return [job["jobId"] for job in batch.list_jobs(jobQueue=QUEUE, **more)["jobSummaryList"]]

    assert listed() == [running]
    assert listed(jobStatus="SUCCEEDED") == [done]
    assert listed(filters=[{"name": "JOB_NAME", "values": ["DONE-1"]}]) == [done]
    assert listed(filters=[{"name": "JOB_NAME", "values": ["running*"]}]) == [running]
    for _ in range(100):
        submit(batch, "running-1")
    pages = batch.get_paginator("list_jobs").paginate(
        jobQueue=QUEUE, filters=[{"name": "JOB_NAME", "values": ["running-1"]}]
    )
    assert [len(page["jobSummaryList"]) for page in pages] == [100, 1]
    with pytest.raises(ClientError, match="between 1 and 100"):
        batch.describe_jobs(jobs=[job.id for job in lab.jobs()])


def test_time_passes_only_on_the_clock(lab: Lab, batch: Any) -> None:
    lab.choose("*", endings.succeed(seconds=50))
    job = submit(batch, result="result-1.pkl")
    assert described(batch, job)["status"] == "RUNNING"
    assert "result-1.pkl" not in lab.objects()
    lab.advance(51)
    # The result is there before anybody has asked Batch.
    assert decoded(lab.object("result-1.pkl"))["status"] == "succeeded"
    entry = described(batch, job)
    assert entry["status"] == "SUCCEEDED"
    assert entry["stoppedAt"] - entry["startedAt"] == 50_000
    lab.advance(7 * 86_400)
    assert batch.describe_jobs(jobs=[job])["jobs"] == []
    assert lab.jobs()[0].status == "SUCCEEDED"


def test_a_job_may_be_unknown_for_a_moment() -> None:
    with Lab(visible_after=5, listed_after=10, own_process=False) as lab:
        batch = lab.boto3("batch")
        job = submit(batch)
        names = [{"name": "JOB_NAME", "values": ["job"]}]
        assert batch.describe_jobs(jobs=[job])["jobs"] == []
        lab.advance(6)
        assert len(batch.describe_jobs(jobs=[job])["jobs"]) == 1
        assert batch.list_jobs(jobQueue=QUEUE, filters=names)["jobSummaryList"] == []
        lab.advance(6)
        assert len(batch.list_jobs(jobQueue=QUEUE, filters=names)["jobSummaryList"]) == 1


def test_termination_ends_a_job_and_cancellation_a_waiting_one(lab: Lab, batch: Any) -> None:
    lab.choose("runs", endings.runs_for_ever())
    lab.choose("waits", endings.stuck(STUCK["capacity"]))
    runs, waits, over = submit(batch, "runs"), submit(batch, "waits"), submit(batch, "over")
    assert described(batch, waits)["statusReason"].startswith("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY")
    for job in (runs, waits, over):
        batch.cancel_job(jobId=job, reason="no")
    statuses = [described(batch, job)["status"] for job in (runs, waits, over)]
    assert statuses == ["RUNNING", "FAILED", "SUCCEEDED"]
    batch.terminate_job(jobId=runs, reason="enough")
    entry = described(batch, runs)
    assert (entry["status"], entry["statusReason"], entry["container"]["exitCode"]) == ("FAILED", "enough", 143)
    assert [job.is_terminated for job in lab.jobs()] == [True, True, False]
    with pytest.raises(ClientError):
        batch.terminate_job(jobId=runs, reason="x" * 1025)


RETRY_LOST_HOSTS = [
    {"action": "RETRY", "onStatusReason": "Host EC2*"},
    {"action": "EXIT", "onReason": "*"},
]


@pytest.mark.parametrize(
    ("ending", "strategy", "status", "attempts"),
    [
        (endings.out_of_memory(), {"attempts": 3}, "FAILED", 3),
        (endings.out_of_memory(), {}, "FAILED", 1),
        (endings.out_of_memory(then=endings.succeed()), {"attempts": 3}, "SUCCEEDED", 2),
        (endings.spot_reclaim(then=endings.succeed(), times=2), {"attempts": 2}, "FAILED", 2),
        (endings.spot_reclaim(endings.succeed()), {"attempts": 2, "evaluateOnExit": RETRY_LOST_HOSTS}, "SUCCEEDED", 2),
        (endings.raised(), {"attempts": 9, "evaluateOnExit": RETRY_LOST_HOSTS}, "FAILED", 1),
        (endings.timed_out(), {"attempts": 9}, "FAILED", 1),
        (endings.terminated("not mine"), {"attempts": 9}, "FAILED", 1),
        (endings.succeed(seconds=100), {"attempts": 9}, "FAILED", 1),
        (endings.succeed_at(3), {"attempts": 3}, "SUCCEEDED", 3),
    ],
)
def test_attempts_follow_the_retry_strategy(  # noqa: PLR0913, PLR0917
    lab: Lab, batch: Any, ending: Ending, strategy: dict[str, Any], status: str, attempts: int
) -> None:
    lab.choose("*", ending)
    more = {"retryStrategy": strategy} if strategy else {}
    job = submit(batch, timeout={"attemptDurationSeconds": 60}, **more)
    lab.advance(61)
    entry = described(batch, job)
    assert (entry["status"], len(entry["attempts"])) == (status, attempts)


@pytest.mark.parametrize(
    ("ending", "status_reason", "container_reason", "exit_code"),
    [
        (endings.raised(), "Essential container in task exited", None, 1),
        (endings.out_of_memory(), "Essential container in task exited", "OutOfMemoryError: Container killed", 137),
        (endings.timed_out(), "Job attempt duration exceeded timeout", None, None),
        (endings.spot_reclaim(), "Host EC2 (instance i-", None, None),
        (endings.fargate_spot_reclaim(), "Your Spot Task was interrupted.", None, None),
        (endings.image_missing(), "Task failed to start", "CannotPullContainerError: ", None),
        (endings.image_denied(), "Task failed to start", "CannotPullContainerError: pull access denied", None),
        (endings.docker_timeout(), "Task failed to start", "DockerTimeoutError: ", None),
        (endings.cannot_start(), "Task failed to start", "CannotStartContainerError: ", None),
        (endings.terminated("wrong one"), "wrong one", None, 143),
        (endings.not_inspected(), "Essential container in task exited", "CannotInspectContainerError: ", None),
        (endings.role_not_assumable(), "ECS was unable to assume the role 'arn:aws:iam:", None, None),
        (endings.failed("strange", "stranger", 9), "strange", "stranger", 9),
    ],
)
def test_a_failed_job_says_what_the_service_says(  # noqa: PLR0913, PLR0917
    lab: Lab, batch: Any, ending: Ending, status_reason: str, container_reason: str | None, exit_code: int | None
) -> None:
    lab.choose("*", ending)
    entry = described(batch, submit(batch))
    assert entry["status"] == "FAILED"
    for said in (entry["container"], entry["attempts"][-1]["container"]):
        assert said.get("exitCode") == exit_code
        assert said.get("reason", "").startswith(container_reason or "")
    assert entry["statusReason"].startswith(status_reason)
    assert entry["attempts"][-1]["statusReason"].startswith(status_reason)


def test_records_vanish_and_entries_are_malformed(lab: Lab, batch: Any) -> None:
    lab.choose("gone", endings.vanished())
    lab.choose("odd", endings.malformed())
    gone, odd, well = (submit(batch, name, result=f"result-{name}.pkl") for name in ("gone", "odd", "well"))
    body = json.dumps({"jobs": [gone, odd, well]}).encode()
    entries = json.loads(ask(lab, "POST", "/v1/describejobs", body)[2])["jobs"]
    assert [(entry["jobId"], entry["status"]) for entry in entries] == [(odd, 7), (well, "SUCCEEDED")]
    assert set(lab.objects()) == {f"result-{name}.pkl" for name in ("gone", "odd", "well")}
    assert lab.forget("well") == 1
    assert batch.describe_jobs(jobs=[well])["jobs"] == []


def test_a_running_job_is_given_its_end(lab: Lab, batch: Any) -> None:
    lab.choose("*", endings.runs_for_ever())
    jobs = [submit(batch, name) for name in ("a-1", "a-2", "b")]
    assert lab.end("a-*", endings.out_of_memory()) == 2
    assert lab.end(jobs[2], endings.succeed()) == 1
    assert [described(batch, job)["status"] for job in jobs] == ["FAILED", "FAILED", "SUCCEEDED"]
    assert lab.end("*", endings.succeed()) == 0


def test_jobs_are_chosen_by_a_function(lab: Lab, batch: Any) -> None:
    lab.choose(lambda name: int(name.rpartition("-")[2]) % 2 == 1, endings.raised())
    assert [described(batch, submit(batch, f"job-{n}"))["status"] for n in range(3)] == [
        "SUCCEEDED",
        "FAILED",
        "SUCCEEDED",
    ]


def test_a_job_whose_function_is_not_there_fails(lab: Lab, batch: Any) -> None:
    variables = {"S3_BUCKET_NAME": BUCKET, "COVALENT_TASK_FUNC_FILENAME": "func-1.pkl"}
    overrides = {"environment": [{"name": name, "value": value} for name, value in variables.items()]}
    assert described(batch, submit(batch, containerOverrides=overrides))["status"] == "FAILED"
    lab.plant("func-1.pkl", b"")
    assert described(batch, submit(batch, containerOverrides=overrides))["status"] == "SUCCEEDED"


def test_the_last_lines_of_a_log(lab: Lab, batch: Any) -> None:
    lab.choose("job", endings.printing(endings.out_of_memory(), *(f"line {number}" for number in range(50))))
    lab.choose("silent", endings.printing(endings.out_of_memory()))
    stream = described(batch, submit(batch))["container"]["logStreamName"]
    logs = lab.boto3("logs")
    events = logs.get_log_events(logGroupName="/aws/batch/job", logStreamName=stream, limit=2)["events"]
    assert [event["message"] for event in events] == ["line 48", "line 49"]
    assert "logStreamName" not in described(batch, submit(batch, "silent"))["container"]
    with pytest.raises(ClientError) as error:
        logs.get_log_events(logGroupName="other", logStreamName=stream)
    assert code(error) == ("ResourceNotFoundException", 400)


def test_queues_and_what_is_behind_them(lab: Lab, batch: Any) -> None:
    lab.set_queue(Queue(max_vcpus=4, environment_status="INVALID", environment_reason="no such role"), QUEUE)
    [queue] = batch.describe_job_queues(jobQueues=[QUEUE])["jobQueues"]
    [order] = queue["computeEnvironmentOrder"]
    [found] = batch.describe_compute_environments(computeEnvironments=[order["computeEnvironment"]])[
        "computeEnvironments"
    ]
    assert (found["status"], found["statusReason"], found["computeResources"]["maxvCpus"]) == (
        "INVALID",
        "no such role",
        4,
    )


def test_a_mistake_in_a_script_does_not_look_like_a_fault(capfd: pytest.CaptureFixture[str]) -> None:
    with Lab(result=lambda container: {container.key: 1 // 0}) as lab:
        batch = lab.boto3("batch")
        job = submit(batch, result="result-1.pkl")
        with pytest.raises(ClientError) as error:
            batch.describe_jobs(jobs=[job])
        assert code(error) == ("LaboratoryMistake", 500)
    assert "ZeroDivisionError" in capfd.readouterr().err
