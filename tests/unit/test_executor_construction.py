"""The executor from the outside: built by users, by Covalent from its configuration, and from a dict."""

from __future__ import annotations

import asyncio
import copy
import inspect
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import covalent as ct
import pytest
from covalent._shared_files.config import _config_manager
from covalent._workflow.transport import encode_metadata
from covalent.executor import AWSBatchExecutor, LocalExecutor, _executor_manager
from covalent.executor.executor_plugins.remote_executor import RemoteExecutor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from covalent_awsbatch_plugin import awsbatch
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

# `to_dict` of version 0.42.0, as a server receives it from a client that has not moved yet.
DICT_0_42 = {
    "type": "<class 'covalent_awsbatch_plugin.awsbatch.AWSBatchExecutor'>",
    "short_name": "awsbatch",
    "attributes": {
        "log_stdout": "",
        "log_stderr": "",
        "cache_dir": "/tmp/covalent",
        "time_limit": 30,
        "retries": 0,
        "poll_freq": 5,
        "remote_cache": "team-bucket",
        "_credentials_file": None,
        "covalent_version": "",
        "execution_role": "TeamExecutionRole",
        "log_group_name": "team-logs",
        "region": "eu-west-1",
        "profile": "team",
        "batch_queue": "team-queue",
        "batch_job_role_name": "TeamJobRole",
        "vcpu": 8,
        "memory": 16,
        "num_gpus": 1,
        "retry_attempts": 2,
        "container_image_uri": "team/image:1",
    },
}


@pytest.fixture
def section(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The section of Covalent's configuration, empty and to be filled by the test."""
    entries: dict[str, Any] = {}
    executors = {**_config_manager.config_data["executors"], "awsbatch": entries}
    monkeypatch.setitem(_config_manager.config_data, "executors", executors)
    return entries


def options_of(executor: Any) -> dict[str, Any]:
    return {name: getattr(executor, name) for name in OPTIONS}


@pytest.mark.usefixtures("section")
class TestCall:
    def test_covalent_exports_the_class(self) -> None:
        assert ct.executor.AWSBatchExecutor is AWSBatchExecutor is awsbatch.AWSBatchExecutor
        assert issubclass(AWSBatchExecutor, RemoteExecutor)
        assert AWSBatchExecutor().short_name() == "awsbatch"
        assert awsbatch.ExecutorPluginDefaults().model_dump() == DEFAULTS
        assert awsbatch.ExecutorInfraDefaults().prefix == "covalent-batch"

    def test_nothing_given_means_the_defaults(self) -> None:
        assert options_of(AWSBatchExecutor()) == DEFAULTS

    def test_the_first_sixteen_options_are_positional_in_their_old_order(self) -> None:
        values = ["/c", "p", "eu-west-1", "bucket", "queue", "exec", "job", "logs", 4, 8, 1, 2, 600, 5, "/x", "image"]
        executor = AWSBatchExecutor(*values)
        assert [getattr(executor, name) for name in OPTIONS[:16]] == values
        parameters = inspect.signature(AWSBatchExecutor).parameters
        assert tuple(parameters)[:-1] == OPTIONS
        assert {parameters[name].kind for name in OPTIONS[16:]} == {inspect.Parameter.KEYWORD_ONLY}

    def test_wrong_values_fail_at_once(self) -> None:
        with pytest.raises(SettingsError, match=r"(?s)2 options.*vcpu=0 .*time_limit=30 "):
            AWSBatchExecutor(vcpu=0, time_limit=30)
        with pytest.raises(SettingsError, match="region=''"):
            AWSBatchExecutor(region="")

    def test_a_typing_error_fails_at_once(self) -> None:
        with pytest.raises(TypeError, match="did you mean 'vcpu'"):
            AWSBatchExecutor(vcpus=2)  # type: ignore[call-arg]

    def test_the_callers_dicts_are_not_shared(self) -> None:
        tags = {"a": "1"}
        executor = AWSBatchExecutor(tags=tags)
        tags["b"] = "2"
        executor.environment["c"] = "3"
        assert executor.tags == {"a": "1"}
        assert AWSBatchExecutor().environment == {}

    def test_it_touches_neither_the_environment_nor_the_disk(self, tmp_path: Path) -> None:
        before = dict(os.environ)
        AWSBatchExecutor(credentials=tmp_path / "credentials", cache_dir=tmp_path / "cache")
        assert dict(os.environ) == before
        assert not list(tmp_path.iterdir())


class TestConfiguration:
    @pytest.mark.parametrize("text", [SECTION_0_42, SECTION_0_9])
    def test_the_sections_of_older_versions_load(self, tmp_path: Path, text: str) -> None:
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
        environment = {**os.environ, "COVALENT_CONFIG_DIR": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120, check=False
        )
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

    def test_tables_of_the_section_become_dicts(self, tmp_path: Path) -> None:
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
        environment = {**os.environ, "COVALENT_CONFIG_DIR": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        # Covalent's log goes to the standard output.
        warning, values = done.stdout.splitlines()
        assert values == "4 {'A': '1'} {'team': 'blue'}", done.stderr
        assert "old_key" in warning

    def test_what_is_not_given_is_read_from_there(self, section: dict[str, Any]) -> None:
        section.update(vcpu=8, num_gpus=2, profile="team", memory=16, tags={"a": "1"})
        executor = AWSBatchExecutor(num_gpus=0, profile="", memory=None)
        assert options_of(executor) == {**DEFAULTS, "vcpu": 8, "memory": 16, "tags": {"a": "1"}}

    def test_an_explicit_false_is_no_number(self, section: dict[str, Any]) -> None:
        section.update(num_gpus=2)
        with pytest.raises(SettingsError, match="num_gpus=False"):
            AWSBatchExecutor(num_gpus=False)

    def test_a_bad_value_there_is_reported_with_its_place(self, section: dict[str, Any]) -> None:
        section.update(time_limit=30)
        executor = AWSBatchExecutor()
        with pytest.raises(SettingsError, match=r"time_limit=30 .*\[executors\.awsbatch\] of .*covalent\.conf"):
            executor._settings()
        assert AWSBatchExecutor(time_limit=60)._settings().time_limit == 60

    def test_a_bad_value_on_the_server_does_not_hinder_a_task_with_its_own(self, section: dict[str, Any]) -> None:
        own = AWSBatchExecutor(time_limit=60).to_dict()
        section.update(time_limit=30, tags={"a": "1"}, environment={})
        on_server = _executor_manager.executor_plugins_map["awsbatch"](**section)
        with pytest.raises(SettingsError, match=r"time_limit=30 .*covalent\.conf"):
            on_server._settings()
        assert on_server.from_dict(own)._settings().time_limit == 60

    def test_what_was_not_given_gets_its_value_where_and_when_the_task_runs(self, section: dict[str, Any]) -> None:
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

    def test_what_is_assigned_or_changed_in_place_is_given(self, section: dict[str, Any]) -> None:
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

    def test_a_task_keeps_what_it_began_with(self, section: dict[str, Any]) -> None:
        section.update(s3_bucket_name="first", tags={"a": "1"})
        executor = AWSBatchExecutor()
        resolved = executor._resolve()
        section.update(s3_bucket_name="second", tags={})
        assert executor._settings() == resolved
        assert (executor.s3_bucket_name, executor.tags) == ("first", {"a": "1"})

    def test_options_go_together_with_what_the_task_finds(self, section: dict[str, Any]) -> None:
        """Whether a size is one of Fargate's depends on `platform`, which may stand in the server's section alone."""
        executor = AWSBatchExecutor(vcpu=0.25, memory="0.5", ephemeral_storage=100)  # type: ignore[arg-type]
        assert (executor.vcpu, executor.memory) == (0.25, 0.5)
        with pytest.raises(SettingsError, match=r"vcpu=0\.25 is for Fargate only"):
            executor._settings()
        section.update(platform="FARGATE")
        assert executor._settings().memory_mib == 512
        with pytest.raises(SettingsError, match=r"vcpu=0\.25 is for Fargate only"):
            AWSBatchExecutor(vcpu=0.25, platform="EC2")

    def test_unknown_keys_of_the_section_are_no_typing_errors(self, section: dict[str, Any]) -> None:
        section.update(vcpu=4, builder="x")
        assert AWSBatchExecutor(**section).vcpu == 4
        assert not hasattr(AWSBatchExecutor(**section), "builder")


@pytest.mark.usefixtures("section")
class TestDict:
    def test_an_electron_carries_plain_json(self) -> None:
        metadata = encode_metadata({"executor": AWSBatchExecutor(vcpu=4, tags={"a": "ä"})})
        assert metadata["executor"] == "awsbatch"
        assert json.loads(json.dumps(metadata["executor_data"])) == metadata["executor_data"]

    def test_the_attributes_of_a_running_task_stay_behind(self) -> None:
        async def running() -> AWSBatchExecutor:
            executor = AWSBatchExecutor()
            executor._init_runtime()
            executor._task_stdout = executor._task_stderr = sys.stdout
            return executor

        executor = asyncio.run(running())
        assert executor.to_dict() == AWSBatchExecutor().to_dict()
        assert executor.from_dict(AWSBatchExecutor(vcpu=4).to_dict()).task_stdout is sys.stdout

    def test_a_dict_of_0_42_0_is_understood(self) -> None:
        original = copy.deepcopy(DICT_0_42)
        executor = AWSBatchExecutor(tags={"a": "1"}).from_dict(DICT_0_42)
        assert original == DICT_0_42
        assert options_of(executor) == {
            **DEFAULTS,
            **{name: value for name, value in DICT_0_42["attributes"].items() if name in DEFAULTS},  # type: ignore[attr-defined]
            "s3_bucket_name": "team-bucket",
            "batch_execution_role_name": "TeamExecutionRole",
            "batch_job_log_group_name": "team-logs",
            "tags": {"a": "1"},
        }
        assert json.dumps(executor.to_dict())
        with pytest.raises(SettingsError, match="time_limit=30"):
            executor._settings()

    @pytest.mark.parametrize("nothing", [None, {}])
    def test_nothing_changes_nothing(self, nothing: Any) -> None:
        executor = AWSBatchExecutor(vcpu=4)
        assert executor.from_dict(nothing) is executor
        assert executor.vcpu == 4

    def test_the_attributes_of_another_executor_are_left_to_it(self) -> None:
        """Covalent hands over those of the lattice's executor for a sublattice that names ours."""
        executor = AWSBatchExecutor(vcpu=4)
        before = executor.to_dict()
        assert executor.from_dict(LocalExecutor(log_stdout="other.log").to_dict()) is executor
        assert executor.to_dict() == before
        assert executor._settings().time_limit == 300

    def test_all_attributes_can_be_printed_in_columns(self) -> None:
        """As a published workflow does, for an executor of which all attributes were texts and numbers."""
        made = AWSBatchExecutor(tags={"a": "1"})
        received = AWSBatchExecutor().from_dict(json.loads(json.dumps(made.to_dict())))
        for executor in (made, received, copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
            lines = [f"{name:<30}{value:<20}|" for name, value in vars(executor).items()]
            assert f"{'tags':<30}{{'a': '1'}}{'':<10}|" in lines
        attributes = made.to_dict()["attributes"]
        assert {type(value) for value in attributes.values()} <= {str, int, float, bool, dict}

    def test_an_executor_pickles(self) -> None:
        executor = AWSBatchExecutor(vcpu=4, environment={"A": "1"})
        assert pickle.loads(pickle.dumps(executor)).to_dict() == executor.to_dict()

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.fixed_dictionaries(
            {},
            optional={
                "credentials": st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20),
                "profile": st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20),
                "s3_bucket_name": st.from_regex(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", fullmatch=True),
                "batch_queue": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}", fullmatch=True),
                "batch_job_role_name": st.from_regex(r"[A-Za-z0-9_+=,.@-]{1,64}", fullmatch=True),
                "vcpu": st.integers(1, 192) | st.integers(1, 192).map(float) | st.integers(1, 192).map(str),
                "memory": st.floats(4 / 1024, 4096, exclude_max=True),
                "num_gpus": st.integers(0, 16),
                "retry_attempts": st.integers(1, 10),
                "time_limit": st.just(0) | st.integers(60, 10**6),
                "poll_freq": st.floats(0, 3600, exclude_min=True),
                "environment": st.dictionaries(
                    st.from_regex(r"X[A-Z0-9_]{0,10}", fullmatch=True),
                    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
                    max_size=5,
                ),
                "tags": st.dictionaries(
                    st.from_regex(r"[b-z]{1,20}", fullmatch=True),
                    st.text(st.characters(categories=["L", "Z", "N"], include_characters="_.:/=+-@"), max_size=9),
                    max_size=5,
                ),
            },
        )
    )
    def test_any_executor_survives_the_way_through_json(self, options: dict[str, Any]) -> None:
        executor = AWSBatchExecutor(**options)
        travelled = AWSBatchExecutor().from_dict(json.loads(json.dumps(executor.to_dict())))
        assert travelled.to_dict() == executor.to_dict()
        assert travelled._settings() == executor._settings()


class TeamExecutor(AWSBatchExecutor):
    """As people have written it for 0.42.0."""

    def __init__(self, *args: Any, project: str = "none", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project = project
        self.remote_cache = f"team-{project}"


@pytest.mark.usefixtures("section")
class TestSubclass:
    def test_it_builds_and_travels(self) -> None:
        executor = TeamExecutor("", "team", project="blue", vcpu=4)
        assert (executor.profile, executor.vcpu, executor.s3_bucket_name) == ("team", 4, "team-blue")
        travelled = TeamExecutor().from_dict(json.loads(json.dumps(executor.to_dict())))
        assert travelled.project == "blue"
        assert travelled.s3_bucket_name == "team-blue"

    @pytest.mark.parametrize(
        ("former", "name"),
        [
            ("remote_cache", "s3_bucket_name"),
            ("credentials_file", "credentials"),
            ("execution_role", "batch_execution_role_name"),
            ("log_group_name", "batch_job_log_group_name"),
        ],
    )
    def test_former_names_read_and_write_the_option(self, former: str, name: str) -> None:
        executor = TeamExecutor()
        setattr(executor, former, "other")
        assert getattr(executor, name) == getattr(executor, former) == "other"
        assert former not in executor.to_dict()["attributes"]

    def test_attributes_of_the_base_class_are_there(self) -> None:
        executor = TeamExecutor()
        executor.log_stdout = "out.log"
        assert executor.to_dict()["attributes"]["log_stdout"] == "out.log"
        assert executor.retries == 0
        assert executor.boto_session_options() == {"region_name": "us-east-1"}
