"""The executor as Covalent builds it from its configuration, and what it finds there when its task runs."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from covalent.executor import AWSBatchExecutor, _executor_manager
from support.executors import options_of

from covalent_awsbatch_plugin.errors import SettingsError
from covalent_awsbatch_plugin.options.settings import DEFAULTS, OPTIONS

# The sections as the documentation of two older versions prints them.
SECTION_0_42 = """\
s3_bucket_name = "covalent-batch-job-resources"
batch_queue = "covalent-batch-queue"
batch_job_definition_name = "covalent-batch-jobs"
batch_execution_role_name = "ecsTaskExecutionRole"
batch_job_role_name = "CovalentBatchJobRole"
batch_job_log_group_name = "covalent-batch-job-logs"
"""
SECTION_0_9 = """\
credentials = "/home/user/.aws/credentials"
profile = ""
s3_bucket_name = "covalent-batch-job-resources"
ecr_repo_name = "covalent-batch-job-images"
batch_job_definition_name = "covalent-batch-jobs"
batch_queue = "covalent-batch-queue"
batch_execution_role_name = "ecsTaskExecutionRole"
batch_job_role_name = "CovalentBatchJobRole"
batch_job_log_group_name = "covalent-batch-job-logs"
vcpu = 2
memory = 3.75
num_gpus = 0
retry_attempts = 3
time_limit = 300
cache_dir = "/tmp/covalent"
poll_freq = 10
"""


def configured_by(directory: Path, program: str) -> subprocess.CompletedProcess[str]:
    """Runs a program whose Covalent has the configuration of a directory."""
    environment = {**os.environ, "COVALENT_CONFIG_DIR": str(directory)}
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("text", [SECTION_0_42, SECTION_0_9])
def test_the_sections_of_older_versions_load(tmp_path: Path, text: str) -> None:
    """With Covalent's own way from the file to the executor, in a process of its own."""
    (tmp_path / "covalent.conf").write_text(f"[executors.awsbatch]\n{text}", encoding="utf-8")
    program = (
        "import json, covalent as ct\n"
        "from covalent.executor import _executor_manager\n"
        "by_name = _executor_manager.get_executor('awsbatch')\n"
        "by_call = ct.executor.AWSBatchExecutor()\n"
        "assert by_name._settings() == by_call._settings()\n"
        "from covalent_awsbatch_plugin.options.settings import OPTIONS\n"
        "print(json.dumps({name: getattr(by_call, name) for name in OPTIONS}))\n"
    )
    done = configured_by(tmp_path, program)
    assert done.returncode == 0, done.stderr
    attributes = json.loads(done.stdout.splitlines()[-1])
    expected = dict(DEFAULTS)
    if text is SECTION_0_9:
        expected.update(credentials="/home/user/.aws/credentials", ecr_repo_name="covalent-batch-job-images")
    assert attributes == expected
    assert done.stderr == ""
    # What Covalent has added to the file is what 0.42.0 would have added, so that one can go back to it.
    added = set((tmp_path / "covalent.conf").read_text(encoding="utf-8").split()) & set(OPTIONS)
    assert added == set(OPTIONS[:16]) | {line.split()[0] for line in text.splitlines()}


def test_tables_of_the_section_become_dicts(tmp_path: Path) -> None:
    (tmp_path / "covalent.conf").write_text(
        '[executors.awsbatch]\nvcpu = "4"\nold_key = 1\n'
        '[executors.awsbatch.environment]\nA = "1"\n[executors.awsbatch.tags]\nteam = "blue"\n',
        encoding="utf-8",
    )
    program = (
        "from covalent.executor import _executor_manager\n"
        "for _ in range(3): executor = _executor_manager.get_executor('awsbatch')\n"
        "checked = executor._settings()\n"
        "print(checked.vcpu, checked.environment, checked.tags)\n"
    )
    done = configured_by(tmp_path, program)
    # Covalent's log goes to the standard output.
    warning, values = done.stdout.splitlines()
    assert values == "4 {'A': '1'} {'team': 'blue'}", done.stderr
    assert "old_key" in warning


def test_what_is_not_given_is_read_from_there(section: dict[str, Any]) -> None:
    section.update(vcpu=8, num_gpus=2, profile="team", memory=16, tags={"a": "1"})
    executor = AWSBatchExecutor(num_gpus=0, profile="", memory=None)
    assert options_of(executor) == {**DEFAULTS, "vcpu": 8, "memory": 16, "tags": {"a": "1"}}


def test_an_explicit_false_is_no_number(section: dict[str, Any]) -> None:
    section.update(num_gpus=2)
    with pytest.raises(SettingsError, match="num_gpus=False"):
        AWSBatchExecutor(num_gpus=False)


def test_a_bad_value_there_is_reported_with_its_place(section: dict[str, Any]) -> None:
    section.update(time_limit=30)
    executor = AWSBatchExecutor()
    with pytest.raises(SettingsError, match=r"time_limit=30 .*\[executors\.awsbatch\] of .*covalent\.conf"):
        executor._settings()
    assert AWSBatchExecutor(time_limit=60)._settings().time_limit == 60


def test_a_bad_value_on_the_server_does_not_hinder_a_task_with_its_own(section: dict[str, Any]) -> None:
    own = AWSBatchExecutor(time_limit=60).to_dict()
    section.update(time_limit=30, tags={"a": "1"}, environment={})
    on_server = _executor_manager.executor_plugins_map["awsbatch"](**section)
    with pytest.raises(SettingsError, match=r"time_limit=30 .*covalent\.conf"):
        on_server._settings()
    assert on_server.from_dict(own)._settings().time_limit == 60


def test_what_was_not_given_gets_its_value_where_and_when_the_task_runs(section: dict[str, Any]) -> None:
    """A kernel that was started before the configuration was changed, and an executor made inside a job."""
    section.update(batch_queue="old", endpoint_url="http://old:1", vcpu=8)
    made = AWSBatchExecutor(vcpu=4)
    carried = json.loads(json.dumps(made.to_dict()))
    section.update(batch_queue="new", endpoint_url="")
    by_name = _executor_manager.executor_plugins_map["awsbatch"](**section)
    received = copy.deepcopy(by_name).from_dict(carried)
    for executor in (made, received):
        settings = executor._settings()
        assert (settings.batch_queue, settings.endpoint_url, settings.vcpu) == ("new", "", 4)
    assert by_name._settings() == AWSBatchExecutor()._settings()
    assert by_name._settings().vcpu == 8


def test_what_is_assigned_or_changed_in_place_is_given(section: dict[str, Any]) -> None:
    section.update(batch_queue="old", tags={"a": "1"}, region="eu-west-1")
    executor = AWSBatchExecutor()
    executor.batch_queue = "old"
    executor.remote_cache = "team-bucket"
    executor.tags["b"] = "2"
    carried = executor.to_dict()["attributes"]
    assert {name: carried[name] for name in OPTIONS if name in carried} == {
        "s3_bucket_name": "team-bucket",
        "batch_queue": "old",
        "tags": {"a": "1", "b": "2"},
    }
    section.clear()
    settings = AWSBatchExecutor().from_dict({"attributes": carried})._settings()
    assert (settings.batch_queue, settings.region, settings.tags) == ("old", "us-east-1", {"a": "1", "b": "2"})


def test_a_task_keeps_what_it_began_with(section: dict[str, Any]) -> None:
    section.update(s3_bucket_name="first", tags={"a": "1"})
    executor = AWSBatchExecutor()
    resolved = executor._resolve()
    section.update(s3_bucket_name="second", tags={})
    assert executor._settings() == resolved
    assert (executor.s3_bucket_name, executor.tags) == ("first", {"a": "1"})


def test_what_a_task_changes_within_a_value_is_its_own(section: dict[str, Any]) -> None:
    section.update(volumes={"/data": {"source": "fs-0123abcd", "root": "/r"}})
    executor = AWSBatchExecutor()
    executor._resolve()
    executor.volumes["/data"]["root"] = "/other"  # type: ignore[index, call-overload]
    assert AWSBatchExecutor()._settings().volumes["/data"]["root"] == "/r"  # type: ignore[index, call-overload]


def test_options_go_together_with_what_the_task_finds(section: dict[str, Any]) -> None:
    """Whether a size is one of Fargate's depends on `platform`, which may stand in the server's section alone."""
    executor = AWSBatchExecutor(vcpu=0.25, memory="0.5", ephemeral_storage=100)  # type: ignore[arg-type]
    assert (executor.vcpu, executor.memory) == (0.25, 0.5)
    assert executor._settings().platform == "", "what the queue has"
    section.update(platform="EC2")
    with pytest.raises(SettingsError, match=r"vcpu=0\.25 is no whole number"):
        executor._settings()
    section.update(platform="FARGATE")
    assert executor._settings().memory_mib == 512
    with pytest.raises(SettingsError, match=r"vcpu=0\.25 is no whole number"):
        AWSBatchExecutor(vcpu=0.25, platform="EC2")


def test_unknown_keys_of_the_section_are_no_typing_errors(section: dict[str, Any]) -> None:
    section.update(vcpu=4, builder="x")
    assert AWSBatchExecutor(**section).vcpu == 4
    assert not hasattr(AWSBatchExecutor(**section), "builder")
