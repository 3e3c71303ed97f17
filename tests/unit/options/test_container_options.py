"""The options of a container: what is allowed, what AWS Batch is told of it, and what is refused with which words."""

from __future__ import annotations

from typing import Any

import pytest

from covalent_awsbatch_plugin.errors import SettingsError
from covalent_awsbatch_plugin.options import checks
from covalent_awsbatch_plugin.options.settings import DEFAULTS, Settings
from covalent_awsbatch_plugin.task.job_request import job_request

SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:token-AbCdEf"
FILES = "arn:aws:s3files:us-east-1:123456789012:file-system/fs-1"

GOOD = [
    ("shared_memory", "8", 8.0),
    ("volumes", {"/data": "/mnt/data"}, {"/data": "/mnt/data"}),
    ("volumes", "/data:/mnt/data,/efs:fs-0123abcd", {"/data": "/mnt/data", "/efs": "fs-0123abcd"}),
    ("volumes", '{"/a": {"source": "fs-0123abcd", "iam": true}}', {"/a": {"source": "fs-0123abcd", "iam": True}}),
    ("secrets", {"TOKEN": f"{SECRET}:key::"}, {"TOKEN": f"{SECRET}:key::"}),
    ("secrets", {"TOKEN": "/team/token"}, {"TOKEN": "/team/token"}),
    ("ulimits", {"nofile": "65536"}, {"nofile": 65536}),
    ("ulimits", {"memlock": -1, "nofile": (1, 2)}, {"memlock": -1, "nofile": [1, 2]}),
    ("ulimits", {"stack": [8, -1]}, {"stack": [8, -1]}),
    ("tmpfs", "/scratch:0.5", {"/scratch": 0.5}),
    ("devices", "/dev/fuse, /dev/a:/dev/b:rw", ["/dev/fuse", "/dev/a:/dev/b:rw"]),
    ("devices", '["/dev/fuse"]', ["/dev/fuse"]),
    ("privileged", "true", True),
    ("user", "app:1000", "app:1000"),
    ("init", True, True),
    ("stop_timeout", 2, 2),
    ("stop_timeout", 600, 600),
    ("ipc_mode", "none", "none"),
]


@pytest.mark.parametrize(("name", "value", "expected"), GOOD)
def test_a_value_within_the_limits_is_taken(name: str, value: Any, expected: Any) -> None:
    checked = getattr(checks.checked({**DEFAULTS, name: value}), name)
    assert (checked, type(checked)) == (expected, type(expected))


BAD = [
    ("shared_memory", 4096, "shared_memory=4096"),
    ("shared_memory", -1, "shared_memory=-1"),
    ("volumes", ["/data"], "it is a list"),
    ("volumes", {"data": "/mnt"}, "'data' is no absolute path"),
    ("volumes", {"/": "/mnt"}, "'/' is no absolute path"),
    ("volumes", {"/data": "my-bucket"}, "the source of /data is neither of these"),
    ("volumes", {"/data": {"root": "/a"}}, "/data has no source"),
    (
        "volumes",
        {"/data": {"source": "fs-0123abcd", "acces_point": "x"}},
        "/data has 'acces_point', and there is source",
    ),
    ("volumes", {"/data": {"source": "fs-0123abcd", "iam": "yes"}}, "iam of /data is a str"),
    ("volumes", {"/data": {"source": "/mnt", "root": "/a"}}, "root of /data is for a file system"),
    ("volumes", {"/data": {"source": FILES, "iam": True}}, "iam of /data is for EFS"),
    ("volumes", {"/data": {"source": "fs-0123abcd", "root": "a"}}, "root of /data is no absolute path"),
    ("volumes", {"/data": {"source": "fs-0123abcd", "access_point": "mine"}}, "access_point of /data is no fsap-"),
    (
        "volumes",
        {"/data": {"source": "fs-0123abcd", "access_point": "fsap-0123abcd", "root": "/a"}},
        "/data has an access_point, which has a root of its own",
    ),
    ("secrets", {"TOKEN": "hunter2"}, "the secret itself does not belong here"),
    ("secrets", {"TOKEN": 1}, "the secret itself does not belong here"),
    ("secrets", {"AWS_BATCH_TOKEN": SECRET}, "belongs to AWS Batch"),
    ("secrets", {"S3_BUCKET_NAME": SECRET}, "is set by the executor itself"),
    ("ulimits", {"nofiles": 1}, "there is no 'nofiles', but core, cpu"),
    ("ulimits", {"nofile": [2, 1]}, "a soft limit above the hard one"),
    ("ulimits", {"nofile": [-1, 1]}, "a soft limit above the hard one"),
    ("ulimits", {"nofile": [1, 2, 3]}, "nofile has 3 numbers"),
    ("ulimits", {"nofile": -2}, "nofile=-2 is out of range"),
    ("tmpfs", {"scratch": 1}, "'scratch' is no absolute path"),
    ("tmpfs", {"/scratch": 0}, "/scratch has 0 GB"),
    ("devices", ["fuse"], "'fuse' is not allowed"),
    ("devices", ["/dev/fuse:rwx"], "'/dev/fuse:rwx' is not allowed"),
    ("devices", 1, "it is a int"),
    ("privileged", 1, "privileged=1"),
    ("user", "a user", "user='a user'"),
    ("read_only_root", True, "nothing is mounted at /tmp"),
    ("stop_timeout", 1, "out of range"),
    ("stop_timeout", -1, "stop_timeout=-1"),
    ("ipc_mode", "private", "ipc_mode='private'"),
]


@pytest.mark.parametrize(("name", "value", "said"), BAD)
def test_a_value_beyond_the_limits_is_refused_with_its_name_and_the_rule(name: str, value: Any, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        checks.checked({**DEFAULTS, name: value})
    message = str(caught.value)
    assert message.startswith(f"AWSBatchExecutor: {name}")
    assert said in message
    assert str(Settings.model_fields[name].description) in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("shared_memory", 1, "there is none on Fargate"),
        ("volumes", {"/data": "/mnt"}, "/data is a directory of the machine"),
        ("ulimits", {"nofile": 1}, "there is none on Fargate"),
        ("tmpfs", {"/scratch": 1}, "there is none on Fargate"),
        ("devices", ["/dev/fuse"], "there is none on Fargate"),
        ("privileged", True, "there is none on Fargate"),
        ("ipc_mode", "host", "there is none on Fargate"),
        ("stop_timeout", 121, "120 seconds at most"),
    ],
)
def test_what_fargate_does_not_have_is_refused(name: str, value: Any, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        checks.checked({**DEFAULTS, "platform": "FARGATE", "memory": 4, name: value})
    assert checks.check_given({name: value}), "the platform may be configured"


def test_what_stands_in_two_places_is_refused() -> None:
    with pytest.raises(SettingsError, match="TOKEN stands in environment, too"):
        checks.checked({**DEFAULTS, "environment": {"TOKEN": "x"}, "secrets": {"TOKEN": SECRET}})
    with pytest.raises(SettingsError, match="/data stands in volumes, too"):
        checks.checked({**DEFAULTS, "volumes": {"/data": ""}, "tmpfs": {"/data": 1}})


def container(**options: Any) -> dict[str, Any]:
    found: dict[str, Any] = job_request(Settings(**options), "d", 1, "")["definition"]["containerProperties"]
    return found


def test_a_container_without_these_options_is_described_as_before() -> None:
    assert container().keys() == {
        *("image", "jobRoleArn", "executionRoleArn", "resourceRequirements", "logConfiguration")
    }


def test_a_job_with_gpus_shares_all_its_memory() -> None:
    assert container(num_gpus=1, memory=16)["linuxParameters"] == {"sharedMemorySize": 16 * 1024}
    assert container(num_gpus=1, shared_memory=1)["linuxParameters"] == {"sharedMemorySize": 1024}
    assert container(shared_memory=0.1)["linuxParameters"] == {"sharedMemorySize": 103}


def test_efs_is_always_encrypted_on_its_way() -> None:
    [volume] = container(volumes={"/data": "fs-0123abcd"})["volumes"]
    assert volume["efsVolumeConfiguration"] == {"fileSystemId": "fs-0123abcd", "transitEncryption": "ENABLED"}


def test_the_order_of_volumes_makes_no_other_revision() -> None:
    one = container(volumes={"/a": "", "/b": "/mnt"})
    assert one == container(volumes={"/b": "/mnt", "/a": ""})
    assert one["mountPoints"] == [
        {"containerPath": "/a", "sourceVolume": "volume-0"},
        {"containerPath": "/b", "sourceVolume": "volume-1"},
    ]
