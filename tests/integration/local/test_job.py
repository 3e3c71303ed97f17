"""A job of the embedded AWS: its states, attempts and time limits, what it finds and prints, and how it is ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from support.local_account import QUEUE, WAIT_FOR, LocalAccount, read_pid
from support.processes import is_alive, poll

# A job's life


def test_a_job_succeeds(account: LocalAccount) -> None:
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


def test_a_job_without_a_command_runs_the_program(account: LocalAccount) -> None:
    assert account.output(account.run()) == ["the program True"]


def test_states_pass_in_order_and_output_appears_while_it_runs(account: LocalAccount, tmp_path: Path) -> None:
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
def test_exit_codes(account: LocalAccount, shell: str, code: int) -> None:
    job = account.run(shell)
    assert job["status"] == "FAILED"
    assert job["statusReason"] == "Essential container in task exited"
    assert job["container"]["exitCode"] == code
    assert [attempt["container"]["exitCode"] for attempt in job["attempts"]] == [code]


def test_a_command_that_does_not_exist(account: LocalAccount) -> None:
    job = account.run(containerOverrides={"command": ["/no/such/program"]})
    assert (job["status"], job["statusReason"]) == ("FAILED", "Task failed to start")
    assert job["container"]["reason"].startswith("CannotStartContainerError: ")
    assert "exitCode" not in job["container"]
    assert "startedAt" not in job


def test_a_lost_host_leaves_no_exit_code(account: LocalAccount, tmp_path: Path) -> None:
    go = tmp_path / "go"
    job_id = account.submit(f"{WAIT_FOR.format(go)}; kill -9 $PPID; sleep 60")
    account.wait(job_id, "RUNNING")
    go.touch()
    job = account.wait(job_id)
    assert job["statusReason"].startswith("Host EC2 (instance i-")
    assert "exitCode" not in job["container"]


# Retries


def test_attempts_are_counted_and_told(account: LocalAccount) -> None:
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


def test_the_definitions_retry_strategy_holds_when_the_job_brings_none(account: LocalAccount) -> None:
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
def test_evaluate_on_exit(account: LocalAccount, rules: list[dict[str, str]], attempts: int) -> None:
    job = account.run("exit 3", retryStrategy={"attempts": 2, "evaluateOnExit": rules})
    assert (job["status"], len(job["attempts"])) == ("FAILED", attempts)


# Time limits


def test_a_job_over_its_time_is_ended_and_not_retried(account: LocalAccount) -> None:
    job = account.run("exec sleep 60", timeout={"attemptDurationSeconds": 1}, retryStrategy={"attempts": 3})
    assert (job["status"], job["statusReason"]) == ("FAILED", "Job attempt duration exceeded timeout")
    assert len(job["attempts"]) == 1
    assert job["timeout"] == {"attemptDurationSeconds": 1}


def test_the_definitions_time_limit_holds_when_the_job_brings_none(account: LocalAccount) -> None:
    definition = account.define("limited", timeout={"attemptDurationSeconds": 1})
    assert account.run("sleep 60", definition=definition)["statusReason"] == "Job attempt duration exceeded timeout"


# Ending jobs


def test_terminating_a_running_job(account: LocalAccount, tmp_path: Path) -> None:
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


def test_a_job_that_ignores_sigterm_is_killed_with_all_it_started(account: LocalAccount, tmp_path: Path) -> None:
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


def test_a_job_that_handles_sigterm_ends_its_own_way(account: LocalAccount) -> None:
    job_id = account.submit("trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.02; done")
    account.wait(job_id, "RUNNING")
    poll(lambda: account.output(account.describe(job_id)), "the trap")
    account.batch.terminate_job(jobId=job_id, reason="please")
    job = account.wait(job_id)
    assert (job["status"], job["container"]["exitCode"], job["statusReason"]) == ("FAILED", 5, "please")
    # In between, the shell may say that its `sleep` was terminated: the signal goes to the whole group.
    assert (account.output(job)[0], account.output(job)[-1]) == ("ready", "bye")


def test_ending_jobs_that_wait(account: LocalAccount, tmp_path: Path) -> None:
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


def test_a_jobs_variables(account: LocalAccount, monkeypatch: pytest.MonkeyPatch) -> None:
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
    poll(lambda: not Path(directory).exists(), "the directory removed after the attempt")
    assert job["container"]["environment"] == [{"name": "A", "value": "1"}, {"name": "B", "value": "ünï"}]


def test_what_a_job_installs_stays_in_the_job(account: LocalAccount, tmp_path: Path) -> None:
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


def test_long_lines_and_bytes_that_are_no_text(account: LocalAccount) -> None:
    code = "import sys; sys.stdout.buffer.write(b'x' * 600_000 + b'\\n\\xff\\xfe end\\n\\nno newline \\xe2\\x82')"
    job = account.run(containerOverrides={"command": ["python", "-c", code]})
    messages = account.output(job)
    *long, second, third = messages
    assert "".join(long) == "x" * 600_000
    assert all(len(message.encode()) <= 256 * 1024 for message in messages)
    assert (second, third) == ("\ufffd\ufffd end", "no newline \ufffd")


def test_the_log_group_is_the_definitions(account: LocalAccount) -> None:
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
