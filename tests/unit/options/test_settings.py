"""The options: what is allowed, and how a wrong value is reported."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import covalent
import pytest

from covalent_awsbatch_plugin.errors import SettingsError
from covalent_awsbatch_plugin.options import checks
from covalent_awsbatch_plugin.options.settings import DEFAULTS, Settings

assert covalent  # it must be imported before its plugins

NAN = float("nan")

GOOD = [
    ("credentials", Path("/home/user/.aws/credentials"), "/home/user/.aws/credentials"),
    ("region", "us-gov-west-1", "us-gov-west-1"),
    ("region", "ap-southeast-4", "ap-southeast-4"),
    ("s3_bucket_name", "abc", "abc"),
    ("s3_bucket_name", "my.bucket-1", "my.bucket-1"),
    (
        "s3_bucket_name",
        "arn:aws:s3:eu-central-1:123456789012:accesspoint/mine",
        "arn:aws:s3:eu-central-1:123456789012:accesspoint/mine",
    ),
    (
        "batch_queue",
        "arn:aws-cn:batch:cn-north-1:123456789012:job-queue/mine",
        "arn:aws-cn:batch:cn-north-1:123456789012:job-queue/mine",
    ),
    ("batch_job_role_name", "a+=,.@-_1", "a+=,.@-_1"),
    ("batch_job_role_name", "/service-role/mine", "/service-role/mine"),
    ("batch_job_role_name", "arn:aws:iam::123456789012:role/p/mine", "arn:aws:iam::123456789012:role/p/mine"),
    ("batch_job_log_group_name", "/aws/batch/job#1", "/aws/batch/job#1"),
    ("vcpu", 2.0, 2),
    ("vcpu", "2", 2),
    ("vcpu", "2.0", 2),
    ("memory", "16", 16.0),
    ("memory", 0.00390625, 0.00390625),
    ("num_gpus", 0, 0),
    ("retry_attempts", 1, 1),
    ("retry_attempts", 10, 10),
    ("time_limit", 0, 0),
    ("time_limit", 60, 60),
    ("poll_freq", 0.25, 0.25),
    ("poll_freq", 86_400, 86_400.0),
    ("container_image_uri", "123.dkr.ecr.eu-west-1.amazonaws.com/a/b@sha256:00", None),
    ("batch_job_definition_name", "a" * 128, "a" * 128),
    ("ecr_repo_name", "team/covalent-batch.images", "team/covalent-batch.images"),
    ("endpoint_url", "http://127.0.0.1:5000/", "http://127.0.0.1:5000"),
    ("environment", {"A_1": "ä=\n", "my.name": ""}, {"A_1": "ä=\n", "my.name": ""}),
    ("tags", {"k" * 128: "v" * 256}, {"k" * 128: "v" * 256}),
    ("retry_on", "infrastructure", "infrastructure"),
    ("runnable_timeout", 0.5, 0.5),
    ("runnable_timeout", 0, 0.0),
    ("runnable_timeout", 31_536_000, 31_536_000.0),
    ("s3_bucket_owner", "123456789012", "123456789012"),
    ("s3_bucket_owner", "any", "any"),
    ("s3_kms_key_id", "1234abcd-12ab-34cd-56ef-1234567890ab", None),
    ("s3_kms_key_id", "arn:aws-cn:kms:cn-north-1:123456789012:key/mrk-1234abcd12ab34cd56ef1234567890ab", None),
    ("s3_kms_key_id", "alias/team/results_1", None),
    ("s3_kms_key_id", "arn:aws:kms:eu-west-1:123456789012:alias/results", None),
    ("s3_cleanup", "success", "success"),
    ("s3_cleanup", "always", "always"),
    ("runtime", "bucket", "bucket"),
    ("packages", "sync", "sync"),
    ("packages", Path("here/requirements.txt"), "here/requirements.txt"),
    ("packages", ("numpy>=2", "dask[array]"), ["numpy>=2", "dask[array]"]),
    ("packages", '["numpy>=2"]', ["numpy>=2"]),
    ("packages_required", True, True),
    ("on_server_stop", "terminate", "terminate"),
    ("resume_on_start", True, True),
    *(("nodes", "1000", 1000), ("node_results", "all", "all"), ("efa", True, True)),
    ("share_identifier", "blue7", "blue7"),
    ("consumable_resources", {"licence": "2"}, {"licence": 2}),
    ("consumable_resources", "licence:1", {"licence": 1}),
    ("retry_memory_factor", "1.5", 1.5),
    ("retry_queues", "spot-2, on-demand", ["spot-2", "on-demand"]),
    ("vcpu", "0.75", 0.75),
    ("eks_service_account", "team.runner-1", "team.runner-1"),
]

BAD = [
    ("credentials", 1),
    ("credentials", "/home/\udce9"),
    ("credentials", "/home/\0"),
    ("profile", 7),
    ("profile", "caf\udce9"),
    ("cache_dir", "/tmp/\udce9"),
    ("container_image_uri", "image\udce9"),
    ("region", ""),
    ("region", "US-EAST-1"),
    ("region", "us-east-1a"),
    ("region", "frankfurt"),
    ("s3_bucket_name", ""),
    ("s3_bucket_name", "ab"),
    ("s3_bucket_name", "a" * 64),
    ("s3_bucket_name", "My-Bucket"),
    ("s3_bucket_name", "a..b"),
    ("s3_bucket_name", "192.168.0.1"),
    ("s3_bucket_name", "s3://bucket"),
    ("s3_bucket_name", "bucket\n"),
    ("batch_queue", ""),
    ("batch_queue", "a queue"),
    ("batch_queue", "q" * 129),
    ("batch_queue", "arn:aws:batch:us-east-1:1:job-queue/q"),
    ("batch_execution_role_name", ""),
    ("batch_execution_role_name", "r" * 65),
    ("batch_job_role_name", "role with spaces"),
    ("batch_job_role_name", "arn:aws:iam::123456789012:user/me"),
    ("batch_job_log_group_name", ""),
    ("batch_job_log_group_name", "group*"),
    ("vcpu", 0),
    ("vcpu", -1),
    ("vcpu", 2.6),
    ("vcpu", "two"),
    ("vcpu", True),
    ("vcpu", 2**31),
    ("memory", 0),
    ("memory", 0.003),
    ("memory", NAN),
    ("memory", "nan"),
    ("memory", float("inf")),
    ("memory", 10**400),
    ("memory", False),
    ("memory", [4]),
    ("num_gpus", -1),
    ("num_gpus", 0.5),
    ("num_gpus", False),
    ("retry_attempts", 0),
    ("retry_attempts", 11),
    ("time_limit", 59),
    ("time_limit", -1),
    ("time_limit", 60.5),
    ("time_limit", 2**31),
    ("poll_freq", 0),
    ("poll_freq", -3),
    ("poll_freq", NAN),
    ("poll_freq", 86_401),
    ("poll_freq", "1e20"),
    ("cache_dir", 5),
    ("container_image_uri", "my image"),
    ("batch_job_definition_name", "-x"),
    ("batch_job_definition_name", "a" * 129),
    ("ecr_repo_name", "Images"),
    ("ecr_repo_name", "a"),
    ("ecr_repo_name", "a//b"),
    ("endpoint_url", "localhost:5000"),
    ("endpoint_url", "ftp://host"),
    ("endpoint_url", "http://host:99999"),
    ("endpoint_url", "http://"),
    ("environment", ["A=1"]),
    ("environment", {"A": 1}),
    ("environment", {1: "A"}),
    ("environment", {"A B": "1"}),
    ("environment", {"": "1"}),
    ("environment", {"AWS_BATCH_JOB_ID": "1"}),
    ("environment", {"S3_BUCKET_NAME": "1"}),
    ("environment", {"COVALENT_TASK_FUNC_FILENAME": "1"}),
    ("environment", {"RESULT_FILENAME": "1"}),
    ("environment", {"COVALENT_AWSBATCH_BUCKET_OWNER": "1"}),
    ("environment", {"COVALENT_AWSBATCH_KMS_KEY_ID": "1"}),
    ("environment", {"A": "\0"}),
    ("environment", {"A": "x" * 8000}),
    ("tags", "a"),
    ("tags", {"": "1"}),
    ("tags", {"k" * 129: "1"}),
    ("tags", {"k": "v" * 257}),
    ("tags", {"aws:k": "1"}),
    ("tags", {"AWS:k": "1"}),
    ("tags", {str(i): "" for i in range(51)}),
    ("tags", {"k": None}),
    ("retry_on", ""),
    ("retry_on", "never"),
    ("runnable_timeout", -1),
    ("runnable_timeout", NAN),
    ("runnable_timeout", 31_536_001),
    ("memory", Decimal("sNaN")),
    ("s3_bucket_owner", "12345678901"),
    ("s3_bucket_owner", 123456789012),
    ("s3_bucket_owner", "mine"),
    ("s3_kms_key_id", "results key"),
    ("s3_kms_key_id", "alias/"),
    ("s3_kms_key_id", "arn:aws:kms:eu-west-1:1:key/x"),
    ("s3_kms_key_id", "arn:aws:s3:::bucket"),
    ("s3_cleanup", "failure"),
    ("s3_cleanup", True),
    ("runtime", "docker"),
    ("packages", "numpy"),
    ("packages_required", 1),
    ("on_server_stop", "leave"),
    ("resume_on_start", 1),
    *(("nodes", 0), ("nodes", 1001), ("nodes", 1.5), ("node_results", "some")),
    ("share_identifier", "team-blue"),
    ("share_identifier", "a" * 256),
    ("share_identifier", 7),
    ("scheduling_priority", 10_000),
    ("eks_namespace", "Team"),
    ("eks_namespace", "default"),
    ("eks_service_account", "team_runner"),
    ("scheduling_priority", -1),
    ("scheduling_priority", 5),
    ("consumable_resources", {"a licence": 1}),
    ("consumable_resources", {"licence": 0}),
    ("consumable_resources", {str(number): 1 for number in range(6)}),
    ("retry_memory_factor", 0.5),
    ("retry_queues", ["a queue"]),
]


@pytest.mark.parametrize(("name", "value", "expected"), GOOD)
def test_a_value_within_the_limits_is_taken(name: str, value: Any, expected: Any) -> None:
    checked = getattr(checks.checked({**DEFAULTS, name: value}), name)
    expected = value if expected is None else expected
    assert checked == expected
    assert type(checked) is type(expected)


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_value_beyond_the_limits_is_refused_with_its_name_and_the_rule(name: str, value: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        checks.checked({**DEFAULTS, name: value})
    message = str(caught.value)
    assert message.startswith(f"AWSBatchExecutor: {name}")
    assert str(Settings.model_fields[name].description) in message
    assert "\n" not in message
    assert len(message) < 500
    if name not in ("credentials", "environment", "tags", "consumable_resources", "retry_queues"):
        assert repr(value)[:90] in message


NUMBERS = [
    *("vcpu", "memory", "num_gpus", "retry_attempts", "time_limit", "poll_freq", "runnable_timeout"),
    *("ephemeral_storage", "scheduling_priority", "shared_memory", "stop_timeout", "retry_memory_factor"),
]
BEYOND_ALL_BOUNDS = [float("inf"), -float("inf"), NAN, 1e20, 1e300, 10**20, -(10**400), 10**5000, "inf", "9" * 5000]


@pytest.mark.parametrize("platform", ["EC2", "FARGATE"])
@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_beyond_all_bounds_is_refused_like_any_other(name: str, platform: str) -> None:
    for value in BEYOND_ALL_BOUNDS:
        with pytest.raises(SettingsError) as caught:
            checks.checked({**DEFAULTS, "platform": platform, name: value})
        assert str(Settings.model_fields[name].description) in str(caught.value)
        assert len(str(caught.value)) < 600


def test_a_priority_needs_a_share() -> None:
    settings = checks.checked({**DEFAULTS, "share_identifier": "blue", "scheduling_priority": 9999})
    assert settings.scheduling_priority == 9999
    with pytest.raises(SettingsError, match="scheduling_priority=5 is not allowed"):
        checks.checked({**DEFAULTS, "scheduling_priority": 5})
    assert checks.check_given({"scheduling_priority": 5}) == {"scheduling_priority": 5}, "the share may be configured"


def test_all_problems_stand_in_one_message() -> None:
    with pytest.raises(SettingsError) as caught:
        checks.checked({**DEFAULTS, "vcpu": 0, "time_limit": 30, "region": "x"})
    first, *lines = str(caught.value).splitlines()
    assert first == "AWSBatchExecutor: 3 options cannot work:"
    assert [re.split(r"[ =]", line)[1] for line in lines] == ["region", "vcpu", "time_limit"]


def test_the_options_have_their_order_and_defaults() -> None:
    assert list(DEFAULTS.items()) == [
        ("credentials", ""),
        ("profile", ""),
        ("region", "us-east-1"),
        ("s3_bucket_name", "covalent-batch-job-resources"),
        ("batch_queue", "covalent-batch-queue"),
        ("batch_execution_role_name", "ecsTaskExecutionRole"),
        ("batch_job_role_name", "CovalentBatchJobRole"),
        ("batch_job_log_group_name", "covalent-batch-job-logs"),
        ("vcpu", 2),
        ("memory", 3.75),
        ("num_gpus", 0),
        ("retry_attempts", 3),
        ("time_limit", 300),
        ("poll_freq", 10),
        ("cache_dir", "/tmp/covalent"),
        ("container_image_uri", ""),
        ("batch_job_definition_name", "covalent-batch-jobs"),
        ("ecr_repo_name", ""),
        ("endpoint_url", ""),
        ("environment", {}),
        ("tags", {}),
        ("retry_on", "any"),
        ("runnable_timeout", 0),
        ("s3_bucket_owner", ""),
        ("s3_kms_key_id", ""),
        ("s3_cleanup", "never"),
        ("platform", ""),
        ("assign_public_ip", True),
        ("ephemeral_storage", 0),
        ("runtime", "auto"),
        ("architecture", ""),
        ("packages", ""),
        ("packages_required", False),
        ("checkpoint", False),
        ("checkpoint_interval", 60),
        ("on_server_stop", "keep"),
        ("resume_on_start", False),
        ("share_identifier", ""),
        ("scheduling_priority", 0),
        ("consumable_resources", {}),
        ("retry_memory_factor", 1),
        ("retry_queues", ""),
        ("spot_notice", False),
        ("shared_memory", 0),
        ("volumes", {}),
        ("secrets", {}),
        ("ulimits", {}),
        ("tmpfs", {}),
        ("devices", ""),
        ("privileged", False),
        ("user", ""),
        ("read_only_root", False),
        ("init", False),
        ("stop_timeout", 0),
        ("ipc_mode", ""),
        ("job_definition", ""),
        ("job_definition_overrides", {}),
        ("eks_namespace", ""),
        ("eks_service_account", ""),
        ("nodes", 1),
        ("node_results", "main"),
        ("efa", False),
    ]
    checks.checked(DEFAULTS)


def test_the_connection_has_the_home_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert '"credentials": "/home/someone/.aws/credentials"' in Settings(credentials="~/.aws/credentials").connection()
