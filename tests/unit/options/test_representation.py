"""How an executor shows itself, in a terminal and in a notebook."""

from __future__ import annotations

import re
from pathlib import Path

import covalent
import pytest
from covalent._shared_files.config import _config_manager

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.options import configuration

assert covalent  # it must be imported before its plugins


@pytest.fixture
def section(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Covalent's configuration says of the executor."""
    entries = {"batch_queue": "queue-of-the-file", "profile": ""}
    monkeypatch.setitem(_config_manager.config_data, "executors", {"awsbatch": entries})


def rows(page: str) -> dict[str, tuple[str, str]]:
    """Value and source of each option in a table."""
    cells = [re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<td[^>]*>.*?</td>", page)]
    return {cells[at]: (cells[at + 1], cells[at + 2]) for at in range(0, len(cells), 3)}


def test_what_was_given_is_written_as_python_has_it() -> None:
    executor = AWSBatchExecutor(vcpu=4, retry_on="infrastructure", tags={"team": "blue"})
    assert repr(executor) == "AWSBatchExecutor(vcpu=4, tags={'team': 'blue'}, retry_on='infrastructure')"
    assert repr(AWSBatchExecutor()) == "AWSBatchExecutor()"
    executor.vcpu = 8
    assert "vcpu=8" in repr(executor)
    assert eval(repr(executor)).vcpu == 8
    assert repr(AWSBatchExecutor.__new__(AWSBatchExecutor)) == "AWSBatchExecutor()"


def test_a_secret_is_shown_nowhere() -> None:
    executor = AWSBatchExecutor(environment={"TOKEN": "4711"}, credentials="~/.aws/other")
    shown = repr(executor) + executor._repr_html_()
    assert "environment={'TOKEN': ...}" in repr(executor)
    assert "~/.aws/other" in shown
    executor.credentials = "AKIAIOSFODNN7EXAMPLE"
    executor.endpoint_url = "http://user:hunter2@host"
    executor.environment["PLACE"] = "4712"
    shown += repr(executor) + executor._repr_html_()
    assert not [secret for secret in ("4711", "4712", "AKIA", "hunter2") if secret in shown]
    splunk = {"logDriver": "splunk", "options": {"splunk-token": "4714"}}
    executor.job_definition_overrides = {"containerProperties": {"logConfiguration": splunk}}
    assert "job_definition_overrides={'containerProperties': ...}" in repr(executor)
    assert "4714" not in repr(executor) + executor._repr_html_()
    executor.environment = "4713"
    assert "4713" not in repr(executor) + executor._repr_html_()


@pytest.mark.usefixtures("section")
def test_a_notebook_shows_where_each_value_comes_from() -> None:
    executor = AWSBatchExecutor(memory=8)
    executor.tags = {"<script>": "\x1b[31m"}
    page = executor._repr_html_()
    found = rows(page)
    assert found["memory"] == ("8.0", "given")
    assert found["batch_queue"] == ("&#x27;queue-of-the-file&#x27;", "file")
    assert found["retry_attempts"] == ("3", "default")
    assert found["profile"] == ("&#x27;&#x27;", "default"), "an empty text in the file says nothing"
    assert len(found) == len(configuration.DEFAULTS)
    assert "<script>" not in page
    assert "\x1b" not in page
    assert str(Path(configuration.file())) in page
