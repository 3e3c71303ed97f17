"""Where the options' values come from: a call, Covalent's configuration, `covalent deploy`."""

from __future__ import annotations

import logging
from typing import Any

import covalent
import pytest
import toml
from covalent._shared_files.config import _config_manager
from covalent.cloud_resource_manager.core import get_plugin_settings, validate_options

from covalent_awsbatch_plugin.deploy.infra import ExecutorInfraDefaults
from covalent_awsbatch_plugin.deploy.plugin_defaults import ExecutorPluginDefaults
from covalent_awsbatch_plugin.errors import SettingsError
from covalent_awsbatch_plugin.options import checks, configuration
from covalent_awsbatch_plugin.options.settings import DEFAULTS, OPTIONS

assert covalent  # it must be imported before its plugins


def configure(monkeypatch: pytest.MonkeyPatch, entries: Any) -> None:
    """Put a section into Covalent's configuration for one test."""
    monkeypatch.setitem(_config_manager.config_data, "executors", {"awsbatch": entries})


def test_a_call_wins_over_the_configuration_and_that_over_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, {"vcpu": 8, "memory": 16, "profile": "team", "num_gpus": 2, "region": "", "other": 1})
    values = configuration.resolved({"memory": 32, "profile": "", "num_gpus": 0})
    assert values == {**DEFAULTS, "vcpu": 8, "memory": 32, "profile": "", "num_gpus": 0}


@pytest.mark.parametrize("entries", [None, "text", 3, []])
def test_a_section_that_is_none_counts_as_absent(monkeypatch: pytest.MonkeyPatch, entries: Any) -> None:
    configure(monkeypatch, entries)
    assert configuration.resolved({}) == DEFAULTS


def test_without_any_section_the_defaults_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(_config_manager.config_data, "executors")
    assert configuration.resolved({}) == DEFAULTS


def test_a_bad_value_of_the_configuration_is_reported_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, {"time_limit": 30})
    with pytest.raises(SettingsError) as caught:
        checks.checked(configuration.resolved({}))
    assert "time_limit=30" in str(caught.value)
    assert f"section [executors.awsbatch] of {_config_manager.config_file}" in str(caught.value)
    with pytest.raises(SettingsError) as caught:
        checks.checked(configuration.resolved({"time_limit": 30}), given=["time_limit"])
    assert "section" not in str(caught.value)


def test_unknown_keys_of_the_configuration_give_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    configure(monkeypatch, {"vcpu": 2, "docker_registry": "x", "builder": "y"})
    with caplog.at_level(logging.WARNING, logger="covalent_awsbatch_plugin"):
        for _ in range(3):
            checks.check_names(["docker_registry", "builder"])
    (warning,) = caplog.messages
    assert "builder, docker_registry" in warning
    assert _config_manager.config_file in warning


def test_a_typing_error_is_one_and_gets_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, {"docker_registry": "x"})
    with pytest.raises(TypeError, match="no option 'time_limt': did you mean 'time_limit'"):
        checks.check_names(["time_limt"])
    with pytest.raises(TypeError, match="no option 'xyz': the options are credentials, profile"):
        checks.check_names(["docker_registry", "xyz"])


@pytest.mark.filterwarnings("ignore:The `schema` method is deprecated:DeprecationWarning")
def test_covalent_deploy_finds_what_it_needs() -> None:
    found = get_plugin_settings(ExecutorPluginDefaults, ExecutorInfraDefaults, {"max_vcpus": "64", "vcpu": "4"})
    assert set(OPTIONS) <= set(found)
    assert all(entry["required"] == "No" for entry in found.values())
    validate_options(ExecutorPluginDefaults, ExecutorInfraDefaults, {"min_vcpus": "0", "vcpu": "4"})
    # What it writes after `terraform apply`: strings, and None for null.
    written = ExecutorPluginDefaults.model_validate({"vcpu": "4", "profile": None, "memory": "3.75"}).model_dump()
    assert written == {**DEFAULTS, "vcpu": 4}
    assert toml.loads(toml.dumps({"executors": {"awsbatch": written}}))["executors"]["awsbatch"] == written
