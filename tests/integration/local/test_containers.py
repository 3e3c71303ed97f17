"""What the embedded AWS makes of a container's options: what a process can show, and what AWS refuses."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.local_account import LocalAccount

EXECUTION = {"executionRoleArn": "arn:aws:iam::123456789012:role/ecsTaskExecutionRole"}
SIZE = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "2048"}]


def test_secrets_are_fetched_and_not_told(account: LocalAccount) -> None:
    secrets, ssm = account.aws.client("secretsmanager"), account.aws.client("ssm")
    plain = secrets.create_secret(Name="plain", SecretString="open sesame")["ARN"]
    keyed = secrets.create_secret(Name="keyed", SecretString=json.dumps({"user": "ada", "word": "lovelace"}))["ARN"]
    ssm.put_parameter(Name="/team/token", Value="parameter", Type="SecureString")
    wanted = {
        "PLAIN": plain,
        "KEYED": f"{keyed}:word::",
        "BY_NAME": "/team/token",
        "BY_ARN": "arn:aws:ssm:us-east-1:123456789012:parameter/team/token",
    }
    sources = [{"name": name, "valueFrom": source} for name, source in wanted.items()]
    definition = account.define("secrets", secrets=sources, **EXECUTION)
    job = account.run('echo "$PLAIN $KEYED $BY_NAME $BY_ARN"', definition=definition)
    assert account.output(job) == ["open sesame lovelace parameter parameter"]
    assert "lovelace" not in json.dumps(account.describe(job["jobId"]), default=str)


@pytest.mark.parametrize("source", ["/not/there", "arn:aws:secretsmanager:us-east-1:123456789012:secret:gone-AbCdEf"])
def test_a_secret_that_is_not_there_ends_the_attempt(account: LocalAccount, source: str) -> None:
    definition = account.define("gone", secrets=[{"name": "A", "valueFrom": source}], **EXECUTION)
    job = account.run("true", definition=definition)
    assert job["statusReason"] == "Task failed to start"
    assert job["container"]["reason"].startswith("ResourceInitializationError: unable to pull secrets or registry")
    assert "exitCode" not in job["container"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other limits")
def test_a_job_has_its_limits(account: LocalAccount) -> None:
    limits = [
        {"name": "nofile", "softLimit": 100, "hardLimit": 200},
        {"name": "core", "softLimit": 0, "hardLimit": -1},
        {"name": "locks", "softLimit": 1, "hardLimit": 1},
    ]
    job = account.run("ulimit -Sn; ulimit -Hn; ulimit -Sc", definition=account.define("limits", ulimits=limits))
    assert account.output(job) == ["100", "200", "0"]


def task(**container: Any) -> dict[str, Any]:
    own = {"name": "default", "image": "image:1", "resourceRequirements": SIZE, **container}
    return {"taskProperties": [{"containers": [own], "ipcMode": "host"}]}


def define(account: LocalAccount, **more: Any) -> str:
    answer = account.batch.register_job_definition(jobDefinitionName="test", type="container", **more)
    return str(answer["jobDefinitionArn"])


def overrides(shell: str) -> dict[str, Any]:
    return {"taskProperties": [{"containers": [{"name": "default", "command": ["sh", "-c", shell]}]}]}


def submit(account: LocalAccount, definition: str, **more: Any) -> str:
    answer = account.batch.submit_job(jobName="job", jobQueue="covalent-batch-queue", jobDefinition=definition, **more)
    return str(answer["jobId"])


def test_a_task_of_one_container_runs_and_is_described_as_a_task(account: LocalAccount) -> None:
    definition = define(account, ecsProperties=task(stopTimeout=7))
    [described] = account.batch.describe_job_definitions(jobDefinitions=[definition])["jobDefinitions"]
    assert described["ecsProperties"] == task(stopTimeout=7)
    assert "containerProperties" not in described
    job = account.wait(submit(account, definition, ecsPropertiesOverride=overrides("exit 3")))
    assert "container" not in job
    [of_job] = job["ecsProperties"]["taskProperties"]
    [of_attempt] = job["attempts"][0]["taskProperties"]
    assert of_job["ipcMode"] == "host"
    assert of_job["containers"][0]["stopTimeout"] == 7
    for one in (of_job, of_attempt):
        assert one["containers"][0]["exitCode"] == 3
        assert one["containers"][0]["logStreamName"]
        assert one["taskArn"]


def test_a_job_has_its_own_time_to_stop(account: LocalAccount) -> None:
    definition = define(account, ecsProperties=task(stopTimeout=2))
    shell = "trap '' TERM; while true; do sleep 0.05; done"
    job_id = submit(account, definition, ecsPropertiesOverride=overrides(shell))
    account.wait(job_id, "RUNNING")
    begun = time.monotonic()
    account.batch.terminate_job(jobId=job_id, reason="enough")
    job = account.wait(job_id)
    assert time.monotonic() - begun >= 2
    assert job["ecsProperties"]["taskProperties"][0]["containers"][0]["exitCode"] == 137


CONTAINER: dict[str, Any] = {"image": "image:1", "resourceRequirements": SIZE}
EFS = {"fileSystemId": "fs-0123abcd"}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"mountPoints": [{"containerPath": "/a", "sourceVolume": "b"}]}, "a volume that is not defined: b"),
        (
            {
                "volumes": [{"name": "a"}],
                "mountPoints": [{"containerPath": "/a", "sourceVolume": "a"}],
                "linuxParameters": {"tmpfs": [{"containerPath": "/a", "size": 1}]},
            },
            "Duplicate mount point",
        ),
        ({"ulimits": [{"name": "nofiles", "softLimit": 1, "hardLimit": 1}]}, "unknown name: nofiles"),
        (
            {"volumes": [{"name": "a", "efsVolumeConfiguration": {**EFS, "authorizationConfig": {"iam": "ENABLED"}}}]},
            "transitEncryption must be ENABLED",
        ),
        (
            {
                "volumes": [
                    {
                        "name": "a",
                        "efsVolumeConfiguration": {
                            **EFS,
                            "rootDirectory": "/a",
                            "transitEncryption": "ENABLED",
                            "authorizationConfig": {"accessPointId": "fsap-0123abcd"},
                        },
                    }
                ]
            },
            "rootDirectory must be omitted",
        ),
    ],
)
def test_what_no_container_can_have_is_refused(account: LocalAccount, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(ClientError, match=said):
        define(account, containerProperties={**CONTAINER, **asked})


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ({"privileged": True}, "privileged"),
        ({"ulimits": [{"name": "nofile", "softLimit": 1, "hardLimit": 1}]}, "ulimits"),
        ({"linuxParameters": {"sharedMemorySize": 64}}, "sharedMemorySize"),
        ({"linuxParameters": {"devices": [{"hostPath": "/dev/fuse"}]}}, "devices"),
        ({"volumes": [{"name": "a", "host": {"sourcePath": "/mnt"}}]}, "host"),
    ],
)
def test_what_fargate_does_not_have_is_refused(account: LocalAccount, asked: dict[str, Any], name: str) -> None:
    with pytest.raises(ClientError, match=f"{name} must not be specified for jobs on Fargate"):
        define(account, platformCapabilities=["FARGATE"], containerProperties={**CONTAINER, **EXECUTION, **asked})


def test_overrides_are_those_of_the_definitions_kind(account: LocalAccount) -> None:
    with pytest.raises(ClientError, match="containerOverrides must not be specified"):
        submit(account, define(account, ecsProperties=task()), containerOverrides={"command": ["true"]})
    with pytest.raises(ClientError, match="ecsPropertiesOverride must not be specified"):
        submit(account, account.define(), ecsPropertiesOverride=overrides("true"))
