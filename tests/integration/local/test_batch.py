"""The embedded AWS, spoken to as any client speaks to it: over HTTP with boto3."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.processes import is_alive, poll

pytest.importorskip("moto.server")

from covalent_awsbatch_plugin.local import LocalAWS

QUEUE = "covalent-batch-queue"
LOG_GROUP = "covalent-batch-job-logs"
ENDED = ("SUCCEEDED", "FAILED")
# Stays in front of the test's own programs; a job waits for a file, so that a test decides when it ends.
WAIT_FOR = "until [ -e {} ]; do sleep 0.02; done"


class Account:
    """The calls that the tests make."""

    def __init__(self, aws: LocalAWS) -> None:
        self.aws = aws
        self.batch = aws.client("batch")
        self.logs = aws.client("logs")

    def define(self, name: str = "test", **properties: Any) -> str:
        """Registers a job definition of one vCPU that logs into the executor's group."""
        extra = {key: properties.pop(key) for key in ("retryStrategy", "timeout", "tags") if key in properties}
        container = {
            "image": "image:1",
            "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "512"}],
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {"awslogs-group": LOG_GROUP, "awslogs-stream-prefix": "prefix"},
            },
            **properties,
        }
        answer = self.batch.register_job_definition(
            jobDefinitionName=name, type="container", containerProperties=container, **extra
        )
        return str(answer["jobDefinitionArn"])

    def submit(
        self, shell: str | None = None, *, name: str = "job", definition: str | None = None, vcpus: int = 0, **more: Any
    ) -> str:
        """Submits a job that runs a line of shell, or the account's program."""
        overrides = more.pop("containerOverrides", {})
        if shell is not None:
            overrides = {**overrides, "command": ["sh", "-c", shell]}
        if vcpus:
            overrides = {**overrides, "resourceRequirements": [{"type": "VCPU", "value": str(vcpus)}]}
        answer = self.batch.submit_job(
            jobName=name,
            jobQueue=QUEUE,
            jobDefinition=definition or self.define(),
            containerOverrides=overrides,
            **more,
        )
        return str(answer["jobId"])

    def describe(self, job_id: str) -> dict[str, Any]:
        [job] = self.batch.describe_jobs(jobs=[job_id])["jobs"]
        return dict(job)

    def wait(self, job_id: str, *states: str) -> dict[str, Any]:
        """Waits until the job is in one of the states, which are those of an ended job by default."""

        def is_there() -> dict[str, Any] | None:
            job = self.describe(job_id)
            return job if job["status"] in (states or ENDED) else None

        return poll(is_there, f"{job_id} in {states or ENDED}")

    def run(self, shell: str | None = None, **more: Any) -> dict[str, Any]:
        """Submits a job and waits for its end."""
        return self.wait(self.submit(shell, **more))

    def output(self, job: dict[str, Any], group: str = LOG_GROUP) -> list[str]:
        """The job's log."""
        stream = job["container"]["logStreamName"]
        events = self.logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True)["events"]
        return [event["message"] for event in events]


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    program = ["{python}", "-c", "import sys; print('the program', sys.prefix != sys.base_prefix)"]
    with LocalAWS(max_vcpus=4, program=program, stop_grace=5.0, allow_short_timeouts=True) as aws:
        yield Account(aws)


def read_pid(file: Path) -> int:
    return int(poll(lambda: file.read_text().strip() if file.exists() else None, f"a pid in {file}"))


# What is there


def test_the_executors_resources_exist(account: Account) -> None:
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


def test_options_point_the_executor_at_it(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    options = account.aws.options
    assert options.keys() == {"endpoint_url", "credentials"}
    credentials = Path(options["credentials"])
    assert stat.S_IMODE(credentials.stat().st_mode) == 0o600
    assert stat.S_IMODE(credentials.parent.stat().st_mode) == 0o700
    monkeypatch.setenv("AWS_PROFILE", "of-the-user")
    assert account.aws.options["profile"] == "default"
    account.aws.client("sts").get_caller_identity()


def test_only_one_at_a_time(account: Account) -> None:
    with pytest.raises(RuntimeError, match="already"):
        LocalAWS().start()
    account.aws.client("sts").get_caller_identity()


# A job's life


def test_a_job_succeeds(account: Account) -> None:
    before = time.time() * 1000
    job = account.run("echo hello; echo to stderr >&2", name="greeting", tags={"team": "a"}, propagateTags=True)
    assert job["status"] == "SUCCEEDED"
    assert job["statusReason"] == "Essential container in task exited"
    assert job["container"]["exitCode"] == 0
    assert "reason" not in job["container"]
    assert before - 1000 <= job["createdAt"] <= job["startedAt"] <= job["stoppedAt"] <= time.time() * 1000
    [attempt] = job["attempts"]
    assert attempt["container"]["exitCode"] == 0
    assert attempt["container"]["logStreamName"] == job["container"]["logStreamName"]
    assert job["container"]["logStreamName"].startswith("prefix/default/")
    assert sorted(account.output(job)) == ["hello", "to stderr"]
    assert job["jobQueue"].endswith(f"job-queue/{QUEUE}")
    assert ":job-definition/test:" in job["jobDefinition"]
    assert job["tags"] == {"team": "a"}
    assert job["propagateTags"] is True
    assert job["container"]["image"] == "image:1"
    assert job["container"]["command"] == ["sh", "-c", "echo hello; echo to stderr >&2"]
    [summary] = [summary for summary in account.aws.jobs() if summary.id == job["jobId"]]
    assert (summary.name, summary.status, summary.attempts, summary.exit_code) == ("greeting", "SUCCEEDED", 1, 0)
    assert (summary.created_at, summary.stopped_at, summary.vcpus) == (job["createdAt"], job["stoppedAt"], 1.0)


def test_a_job_without_a_command_runs_the_program(account: Account) -> None:
    assert account.output(account.run()) == ["the program True"]


def test_states_pass_in_order_and_output_appears_while_it_runs(account: Account, tmp_path: Path) -> None:
    go = tmp_path / "go"
    job_id = account.submit(f"echo early; {WAIT_FOR.format(go)}")
    job = account.wait(job_id, "RUNNING")
    assert "stoppedAt" not in job
    assert job["attempts"] == []
    poll(lambda: account.output(account.describe(job_id)) == ["early"], "output of a running job")
    listed = account.batch.list_jobs(jobQueue=QUEUE)["jobSummaryList"]
    assert [summary["jobId"] for summary in listed] == [job_id], "without a filter the status is RUNNING"
    go.touch()
    assert account.wait(job_id)["status"] == "SUCCEEDED"


@pytest.mark.parametrize(("shell", "code"), [("exit 1", 1), ("exit 7", 7), ("kill -9 $$", 137), ("kill -15 $$", 143)])
def test_exit_codes(account: Account, shell: str, code: int) -> None:
    job = account.run(shell)
    assert job["status"] == "FAILED"
    assert job["statusReason"] == "Essential container in task exited"
    assert job["container"]["exitCode"] == code
    assert [attempt["container"]["exitCode"] for attempt in job["attempts"]] == [code]


def test_a_command_that_does_not_exist(account: Account) -> None:
    job = account.run(containerOverrides={"command": ["/no/such/program"]})
    assert (job["status"], job["statusReason"]) == ("FAILED", "Task failed to start")
    assert job["container"]["reason"].startswith("CannotStartContainerError: ")
    assert "exitCode" not in job["container"]
    assert "startedAt" not in job


def test_a_lost_host_leaves_no_exit_code(account: Account, tmp_path: Path) -> None:
    go = tmp_path / "go"
    job_id = account.submit(f"{WAIT_FOR.format(go)}; kill -9 $PPID; sleep 60")
    account.wait(job_id, "RUNNING")
    go.touch()
    job = account.wait(job_id)
    assert job["statusReason"].startswith("Host EC2 (instance i-")
    assert "exitCode" not in job["container"]


# Retries


def test_attempts_are_counted_and_told(account: Account) -> None:
    job = account.run(
        "echo attempt $AWS_BATCH_JOB_ATTEMPT; test $AWS_BATCH_JOB_ATTEMPT = 3", retryStrategy={"attempts": 5}
    )
    assert job["status"] == "SUCCEEDED"
    assert [attempt["container"]["exitCode"] for attempt in job["attempts"]] == [1, 1, 0]
    streams = [attempt["container"]["logStreamName"] for attempt in job["attempts"]]
    assert len(set(streams)) == 3
    assert job["container"]["logStreamName"] == streams[-1]
    assert account.output(job) == ["attempt 3"]
    assert job["retryStrategy"]["attempts"] == 5


def test_the_definitions_retry_strategy_holds_when_the_job_brings_none(account: Account) -> None:
    definition = account.define("retried", retryStrategy={"attempts": 2})
    assert len(account.run("exit 1", definition=definition)["attempts"]) == 2
    assert len(account.run("exit 1", definition=definition, retryStrategy={"attempts": 1})["attempts"]) == 1


@pytest.mark.parametrize(
    ("rules", "attempts"),
    [
        ([{"onExitCode": "3", "action": "EXIT"}], 1),
        ([{"onExitCode": "4", "action": "EXIT"}], 2),  # no rule matches: retried
        ([{"onExitCode": "3", "action": "retry"}, {"onReason": "*", "action": "exit"}], 2),
        ([{"onReason": "*", "action": "EXIT"}, {"onExitCode": "3", "action": "RETRY"}], 1),  # the first one decides
        ([{"onStatusReason": "essential*", "action": "EXIT"}], 1),
        ([{"onStatusReason": "Essential", "action": "EXIT"}], 2),
        ([{"onStatusReason": "Essential*", "onExitCode": "9*", "action": "EXIT"}], 2),  # all conditions of a rule
    ],
)
def test_evaluate_on_exit(account: Account, rules: list[dict[str, str]], attempts: int) -> None:
    job = account.run("exit 3", retryStrategy={"attempts": 2, "evaluateOnExit": rules})
    assert (job["status"], len(job["attempts"])) == ("FAILED", attempts)


# Time limits


def test_a_job_over_its_time_is_ended_and_not_retried(account: Account) -> None:
    job = account.run("exec sleep 60", timeout={"attemptDurationSeconds": 1}, retryStrategy={"attempts": 3})
    assert (job["status"], job["statusReason"]) == ("FAILED", "Job attempt duration exceeded timeout")
    assert len(job["attempts"]) == 1
    assert job["timeout"] == {"attemptDurationSeconds": 1}


def test_the_definitions_time_limit_holds_when_the_job_brings_none(account: Account) -> None:
    definition = account.define("limited", timeout={"attemptDurationSeconds": 1})
    assert account.run("sleep 60", definition=definition)["statusReason"] == "Job attempt duration exceeded timeout"


# Capacity


def test_jobs_beyond_the_vcpus_wait_in_order(account: Account, tmp_path: Path) -> None:
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


def test_a_job_that_no_environment_can_hold_says_why(account: Account) -> None:
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
    account: Account, resource: str, value: str
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


def test_many_at_once(account: Account) -> None:
    definition = account.define("many")
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda n: account.submit(f"exit {n % 2}", definition=definition, name=f"n{n}"), range(20)))
        jobs = list(pool.map(account.wait, ids))
    assert [job["container"]["exitCode"] for job in jobs] == [n % 2 for n in range(20)]
    assert len({job["jobDefinition"] for job in jobs}) == 1
    spans = [(job["startedAt"], job["stoppedAt"]) for job in jobs]
    assert max(sum(start < other[0] < stop for start, stop in spans) for other in spans) <= 4


# Ending jobs


def test_terminating_a_running_job(account: Account, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    shell = f"sleep 60 & echo $! > {pid}; wait"
    job_id = account.submit(shell, retryStrategy={"attempts": 3})
    account.wait(job_id, "RUNNING")
    child = read_pid(pid)
    account.batch.terminate_job(jobId=job_id, reason="nobody needs it")
    job = account.wait(job_id)
    assert (job["status"], job["statusReason"]) == ("FAILED", "nobody needs it")
    assert job["container"]["exitCode"] == 143
    assert len(job["attempts"]) == 1
    assert job["isTerminated"] is True
    assert not is_alive(child)


def test_a_job_that_ignores_sigterm_is_killed_with_all_it_started(account: Account, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    # The second one leaves the job's session; a container would end it all the same.
    code = (
        "import os, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
        f"open({str(pid)!r}, 'w').write(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    job_id = account.submit(containerOverrides={"command": ["python", "-c", code]})
    child = read_pid(pid)
    account.batch.terminate_job(jobId=job_id, reason="enough")
    job = account.wait(job_id)
    assert (job["container"]["exitCode"], job["statusReason"]) == (137, "enough")
    if sys.platform == "linux":
        assert not is_alive(child)


def test_a_job_that_handles_sigterm_ends_its_own_way(account: Account) -> None:
    job_id = account.submit("trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.02; done")
    account.wait(job_id, "RUNNING")
    poll(lambda: account.output(account.describe(job_id)), "the trap")
    account.batch.terminate_job(jobId=job_id, reason="please")
    job = account.wait(job_id)
    assert (job["status"], job["container"]["exitCode"], job["statusReason"]) == ("FAILED", 5, "please")
    # In between, the shell may say that its `sleep` was terminated: the signal goes to the whole group.
    assert (account.output(job)[0], account.output(job)[-1]) == ("ready", "bye")


def test_ending_jobs_that_wait(account: Account, tmp_path: Path) -> None:
    go = tmp_path / "go"
    running = account.submit(WAIT_FOR.format(go), vcpus=4)
    account.wait(running, "RUNNING")
    terminated, cancelled = account.submit("true"), account.submit("true")
    account.batch.terminate_job(jobId=terminated, reason="first reason")
    account.batch.cancel_job(jobId=cancelled, reason="second reason")
    account.batch.cancel_job(jobId=running, reason="does nothing")
    for job_id, reason in ((terminated, "first reason"), (cancelled, "second reason")):
        job = account.describe(job_id)
        assert (job["status"], job["statusReason"]) == ("FAILED", reason)
        assert job["attempts"] == []
        assert "startedAt" not in job
    assert account.describe(running)["status"] == "RUNNING"
    go.touch()
    assert account.wait(running)["status"] == "SUCCEEDED"


# The job's environment


def test_a_jobs_variables(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COVALENT_CONFIG_DIR", "AWS_SESSION_TOKEN", "PYTHONPATH", "PIP_TARGET", "MY_SECRET"):
        monkeypatch.setenv(name, "of-the-caller")
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    definition = account.define("variables", environment=[{"name": "A", "value": "1"}, {"name": "B", "value": "1"}])
    job = account.run(
        containerOverrides={
            "command": ["python", "-c", "import json, os; print(json.dumps([dict(os.environ), os.getcwd()]))"],
            "environment": [{"name": "B", "value": "ünï"}],
        },
        definition=definition,
    )
    [line] = account.output(job)
    seen, directory = json.loads(line)
    assert (seen["A"], seen["B"]) == ("1", "ünï")
    assert seen["AWS_BATCH_JOB_ID"] == job["jobId"]
    assert seen["AWS_BATCH_JOB_ATTEMPT"] == "1"
    assert seen["AWS_BATCH_JQ_NAME"] == QUEUE
    assert seen["AWS_BATCH_CE_NAME"] == "covalent-batch-environment"
    given = {name: value for name, value in account.aws.environment.items() if not name.endswith("REGION")}
    assert {name: seen[name] for name in given} == given
    assert not [name for name in seen if name.endswith("REGION")], "AWS Batch tells a container on EC2 none"
    assert "of-the-caller" not in seen.values()
    assert seen["PIP_RETRIES"] == "1"
    assert "127.0.0.1" in seen["no_proxy"]
    assert os.path.realpath(seen["HOME"]) == os.path.realpath(directory)
    assert not Path(directory).exists(), "removed after the attempt"
    assert job["container"]["environment"] == [{"name": "A", "value": "1"}, {"name": "B", "value": "ünï"}]


def test_what_a_job_installs_stays_in_the_job(account: Account, tmp_path: Path) -> None:
    wheel = tmp_path / "only_in_the_job-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("only_in_the_job.py", "answer = 42\n")
        info = "only_in_the_job-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: only-in-the-job\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    code = "import boto3, only_in_the_job as m, sys; print(m.answer, m.__file__.startswith(sys.prefix))"
    job = account.run(f'pip install --quiet --no-index {wheel} && python -c "{code}"')
    assert account.output(job) == ["42 True"]
    assert subprocess.run([sys.executable, "-c", "import only_in_the_job"], capture_output=True).returncode == 1


# Logs


def test_long_lines_and_bytes_that_are_no_text(account: Account) -> None:
    code = "import sys; sys.stdout.buffer.write(b'x' * 600_000 + b'\\n\\xff\\xfe end\\n\\nno newline \\xe2\\x82')"
    job = account.run(containerOverrides={"command": ["python", "-c", code]})
    messages = account.output(job)
    *long, second, third = messages
    assert "".join(long) == "x" * 600_000
    assert all(len(message.encode()) <= 256 * 1024 for message in messages)
    assert (second, third) == ("\ufffd\ufffd end", "no newline \ufffd")


def test_the_log_group_is_the_definitions(account: Account) -> None:
    def configured(**options: str) -> dict[str, Any]:
        return {"logConfiguration": {"logDriver": "awslogs", "options": options}}

    missing = account.define("logs", **configured(**{"awslogs-group": "not-there"}))
    job = account.run("echo lost", definition=missing)
    assert job["statusReason"] == "Task failed to start"
    assert "The specified log group does not exist" in job["container"]["reason"]
    made = account.define("logs", **configured(**{"awslogs-group": "not-there", "awslogs-create-group": "true"}))
    job = account.run("echo found", definition=made)
    assert job["container"]["logStreamName"].startswith("logs/default/")
    assert account.output(job, "not-there") == ["found"]
    account.batch.register_job_definition(
        jobDefinitionName="plain", type="container", containerProperties={"image": "i", "vcpus": 1, "memory": 128}
    )
    assert account.output(account.run("echo default", definition="plain"), "/aws/batch/job") == ["default"]


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
def test_wrong_submissions_are_refused(account: Account, wrong: dict[str, Any]) -> None:
    request = {"jobName": "wrong", "jobQueue": QUEUE, "jobDefinition": account.define(), **wrong}
    with pytest.raises(ClientError) as refused:
        account.batch.submit_job(**request)
    assert refused.value.response["Error"]["Code"] == "ClientException"


def test_overrides_that_are_too_long_fail_the_job_later(account: Account) -> None:
    job = account.run(containerOverrides={"environment": [{"name": "A", "value": "x" * 9000}]})
    assert job["statusReason"] == "Container Overrides length must be at most 8192"


def test_describing_jobs(account: Account) -> None:
    job = account.run("true")
    assert account.batch.describe_jobs(jobs=[])["jobs"] == []
    assert account.batch.describe_jobs(jobs=["unknown", job["jobId"]])["jobs"] == [job]
    assert account.batch.describe_jobs(jobs=[job["jobArn"]])["jobs"] == [job]
    with pytest.raises(ClientError):
        account.batch.describe_jobs(jobs=["unknown"] * 101)


def test_listing_jobs_by_name_in_pages(account: Account) -> None:
    definition = account.define("listed")
    ids = {account.submit("true", name=f"listed-{n}", definition=definition) for n in range(3)}
    paginator = account.batch.get_paginator("list_jobs")
    by_name = [{"name": "JOB_NAME", "values": ["LISTED-*"]}]
    pages = list(paginator.paginate(jobQueue=QUEUE, filters=by_name, PaginationConfig={"PageSize": 2}))
    assert [len(page["jobSummaryList"]) for page in pages] == [2, 1]
    assert {summary["jobId"] for page in pages for summary in page["jobSummaryList"]} == ids


def test_job_definitions_in_pages(account: Account) -> None:
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


def test_a_revision_keeps_nothing_of_the_one_before(account: Account) -> None:
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


def test_an_array_and_a_job_that_waits_for_it(account: Account) -> None:
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
