"""Secrets in the options, where they belong and where they do not: no message shows them."""

from __future__ import annotations

from pathlib import Path

import covalent
import pytest

from covalent_awsbatch_plugin.deploy.plugin_defaults import ExecutorPluginDefaults
from covalent_awsbatch_plugin.deploy.terraform import TerraformError
from covalent_awsbatch_plugin.deploy.variables import variables
from covalent_awsbatch_plugin.errors import SettingsError
from covalent_awsbatch_plugin.options import checks
from covalent_awsbatch_plugin.options.settings import DEFAULTS, Settings

assert covalent  # it must be imported before its plugins


def test_a_message_shows_no_secret() -> None:
    with pytest.raises(SettingsError) as caught:
        checks.checked({**DEFAULTS, "environment": {"TOKEN": 4711}, "credentials": {"aws_secret_access_key": "4711"}})
    assert "TOKEN" in str(caught.value)
    assert "4711" not in f"{caught.value!r} {caught.value} {caught.value.__context__!r}"


def test_a_broken_pydantic_error_shows_no_secret_either() -> None:
    with pytest.raises(ValueError, match="environment") as caught:
        ExecutorPluginDefaults(environment={"TOKEN": "4711", "AWS_BATCH_X": "4711"})
    assert "4711" not in str(caught.value)
    assert "4711" not in repr(Settings(environment={"TOKEN": "4711"}))


SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"  # of AWS's own examples


@pytest.mark.parametrize(
    "pasted",
    [
        SECRET,
        f"{SECRET}\n",
        "AKIAIOSFODNN7EXAMPLE",
        f"ASIAIOSFODNN7EXAMPLE:{SECRET}",
        f"[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = {SECRET}\n",
        f"aws_secret_access_key={SECRET}",
        f'{{"SecretAccessKey": "{SECRET}"}}',
    ],
)
def test_keys_in_the_place_of_a_path_are_refused_and_not_shown(pasted: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"credentials is not allowed \(it looks like a key itself") as caught:
        checks.checked({**DEFAULTS, "credentials": pasted})
    with pytest.raises(TerraformError, match="credentials: it looks like a key itself") as deployed:
        variables(tmp_path, {"credentials": pasted})
    for text in (f"{caught.value!r} {caught.value}", f"{deployed.value!r} {deployed.value}"):
        assert not [part for part in ("K7MDENG", "IOSFODNN7") if part in text]


@pytest.mark.parametrize("path", ["~/.aws/credentials", "/home/AKIA/ASIA/x", "/run/secrets/aws", "secrets/AKIA.ini"])
def test_a_path_is_no_key(path: str) -> None:
    assert checks.checked({**DEFAULTS, "credentials": path}).credentials == path
    assert "secrets" not in repr(checks.checked({**DEFAULTS, "credentials": path}))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:hunter2@host", "http://…@host"),
        ("https://hunter2@host:99/x", "https://…@host:99/x"),
        ("http://user:hunter2@host:port x", "http://…@host:…"),
        ("http://user:hunter2/x@host", "http://…@host"),
        ("http://user:hunter2", "http://user:…"),
        ("http://user:hunter2@ex\u2100mple", "http://…@ex℀mple"),
        ("user:hunter2@host", "…@host"),
    ],
)
def test_a_password_in_a_url_is_refused_and_not_shown(url: str, shown: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        checks.checked({**DEFAULTS, "endpoint_url": url})
    assert f"endpoint_url='{shown}' is not allowed" in str(caught.value)
    with pytest.raises(TerraformError, match="endpoint_url") as deployed:
        variables(tmp_path, {"endpoint_url": url})
    for error in (caught.value, deployed.value):
        assert "hunter2" not in f"{error!r} {error} {error.__cause__!r} {error.__context__!r}"


@pytest.mark.parametrize("unfit", ["\udce9", "\0"])
@pytest.mark.parametrize("name", ["environment", "tags"])
def test_a_text_that_nobody_can_send_is_refused_by_the_name_of_its_entry(name: str, unfit: str) -> None:
    with pytest.raises(SettingsError, match="the value of 'TOKEN' is not allowed") as caught:
        checks.checked({**DEFAULTS, name: {"TOKEN": f"hunter2{unfit}"}})
    assert "hunter2" not in str(caught.value)
    with pytest.raises(SettingsError, match=r"the name 'A.* is not allowed") as caught:
        checks.checked({**DEFAULTS, name: {f"A{unfit}": "hunter2"}})
    assert "hunter2" not in str(caught.value)
    str(caught.value).encode("utf-8")
