"""A task with options of its container: what Batch says of the job, and what the function sees."""

from __future__ import annotations

import os
import resource
from typing import Any

import pytest
from support.task_bench import TaskBench, failure_of

from covalent_awsbatch_plugin.errors import JobFailedError


def container_of(bench: TaskBench, task: dict[str, Any]) -> dict[str, Any]:
    return dict(bench.ended(task)["container"])


def test_batch_is_told_what_is_mounted_and_allowed(bench: TaskBench) -> None:
    task = bench.task()
    executor = bench.executor(
        volumes={"/data": {"source": "fs-0123abcd", "read_only": True}, "/tmp": ""},
        tmpfs={"/scratch": 1},
        devices=["/dev/fuse"],
        shared_memory=2,
        privileged=True,
        user="1000",
        read_only_root=True,
        init=True,
    )
    assert bench.run(executor, max, 1, 2, task=task) == 2
    found = container_of(bench, task)
    assert found["volumes"][1]["name"] == "volume-1"
    assert found["mountPoints"] == [
        {"containerPath": "/data", "sourceVolume": "volume-0", "readOnly": True},
        {"containerPath": "/tmp", "sourceVolume": "volume-1"},
    ]
    assert found["linuxParameters"] == {
        "sharedMemorySize": 2048,
        "tmpfs": [{"containerPath": "/scratch", "size": 1024}],
        "devices": [{"hostPath": "/dev/fuse"}],
        "initProcessEnabled": True,
    }
    assert (found["privileged"], found["user"], found["readonlyRootFilesystem"]) == (True, "1000", True)


def test_a_function_has_its_secrets_and_limits(bench: TaskBench) -> None:
    arn = bench.aws.client("secretsmanager").create_secret(Name="token", SecretString="open sesame")["ARN"]

    def look() -> tuple[str, int]:
        return os.environ["TOKEN"], resource.getrlimit(resource.RLIMIT_CORE)[0]

    executor = bench.executor(secrets={"TOKEN": arn}, ulimits={"core": [0, -1]})
    assert bench.run(executor, lambda _: look(), 0) == ("open sesame", 0)


def test_a_secret_that_is_not_there_is_named(bench: TaskBench) -> None:
    error = failure_of(bench, bench.executor(secrets={"TOKEN": "/not/there"}))
    assert isinstance(error, JobFailedError)
    assert "/not/there" in str(error)


AS_TASK: dict[str, Any] = {"stop_timeout": 2, "ipc_mode": "host"}


def test_a_job_that_is_a_task_of_one_container_works_like_any_other(bench: TaskBench) -> None:
    task = bench.task()
    name = {"batch_job_definition_name": "as-task"}
    assert bench.run(bench.executor(**AS_TASK, **name), max, 1, 2, task=task) == 2
    [described] = bench.ended(task)["ecsProperties"]["taskProperties"]
    assert described["ipcMode"] == "host"
    assert described["taskRoleArn"] == "arn:aws:iam::123456789012:role/CovalentBatchJobRole"
    assert described["containers"][0]["stopTimeout"] == 2
    assert bench.run(bench.executor(**AS_TASK, **name, memory=1), max, 1, 2) == 2
    assert len(bench.revisions("as-task")) == 1


def test_a_task_of_one_container_that_fails_says_why(bench: TaskBench) -> None:
    task = bench.task()
    executor = bench.executor("echo a last word; exit 3", **AS_TASK, retry_attempts=2)
    with pytest.raises(JobFailedError) as caught:
        bench.run(executor, task=task)
    assert "exited with code 3 after 2 attempts" in str(caught.value)
    assert "a last word" in str(caught.value)
    assert (caught.value.details["attempts"], caught.value.details["exit_code"]) == (2, 3)


def test_a_task_of_one_container_is_cancelled(bench: TaskBench) -> None:
    task, executor = bench.task(), bench.executor("exec sleep 60", **AS_TASK)
    bench.cancelled(executor, task)
