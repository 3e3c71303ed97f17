"""The executor from the outside: built by users and from a dict."""

from __future__ import annotations

import asyncio
import copy
import inspect
import json
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import covalent as ct
import pytest
from covalent._workflow.transport import encode_metadata
from covalent.executor import AWSBatchExecutor, LocalExecutor
from covalent.executor.executor_plugins.remote_executor import RemoteExecutor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.executors import options_of

from covalent_awsbatch_plugin import awsbatch
from covalent_awsbatch_plugin.errors import SettingsError
from covalent_awsbatch_plugin.options.settings import DEFAULTS, OPTIONS

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
