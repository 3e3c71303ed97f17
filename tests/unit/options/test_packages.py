"""The option `packages`: what may be given, and what of it travels to the server."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
from support.installed import install

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.errors import SettingsError
from covalent_awsbatch_plugin.options import packages

LOCK = """
lock-version = "1.0"
created-by = "a test"

[[packages]]
name = "numpy"
version = "2.4.6"
marker = "python_version >= '3.11'"
wheels = [
    { url = "https://index/numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl", hashes = { sha256 = "%s" } },
    { url = "https://index/numpy-2.4.6-cp311-cp311-win_amd64.whl", hashes = { sha256 = "%s" } },
]
"""
HASH, OTHER = "a" * 64, "b" * 64


def travelling(**options: Any) -> Any:
    """What the server gets, as JSON."""
    return json.loads(json.dumps(AWSBatchExecutor(**options).to_dict()))["attributes"]


def test_a_requirements_file_is_read_where_the_workflow_is_made(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("numpy>=2 # new\n\n-r more.txt\n-c limits.txt\nscipy \\\n  ==1.17.1\n")
    (tmp_path / "more.txt").write_text(f"one==1 --hash=sha256:{HASH} \\\n --hash=sha256:{OTHER}\n")
    (tmp_path / "limits.txt").write_text("two<3\n")
    found = travelling(packages=file)["packages"]
    assert found[0] == "numpy>=2"
    assert found[2:] == ["--constraint=two<3", "scipy    ==1.17.1"]
    one = packages.parsed(found[1])
    assert (one.text, one.hashes, one.is_constraint) == ("one==1", {HASH, OTHER}, False)
    assert packages.parsed(found[2]).is_constraint
    executor = AWSBatchExecutor().from_dict({"attributes": {"packages": found}})
    assert executor._settings().packages == found
    assert executor.to_dict()["attributes"]["packages"] == found


def test_a_lock_keeps_versions_and_the_hashes_for_linux(tmp_path: Path) -> None:
    file = tmp_path / "pylock.toml"
    file.write_text(LOCK % (HASH, OTHER))
    [line] = travelling(packages=str(file))["packages"]
    assert packages.parsed(line).hashes == {HASH}
    assert packages.parsed(line).text == 'numpy==2.4.6; python_version >= "3.11"'


@pytest.mark.parametrize(
    "content", ["--index-url https://me:s3cret-word@index/simple\nnumpy\n", "numpy @ https://x/y.whl\n", "./here\n"]
)
def test_what_cannot_travel_is_refused_and_not_shown(tmp_path: Path, content: str) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text(content)
    with pytest.raises(SettingsError, match="something in it that is no name with versions") as raised:
        travelling(packages=file)
    assert "s3cret-word" not in str(raised.value)
    file.unlink()
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        travelling(packages=file)
    (tmp_path / "pylock.toml").write_text("[[packages]]\nname = 'no version'\n")
    with pytest.raises(SettingsError, match="KeyError"):
        travelling(packages=tmp_path / "pylock.toml")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("numpy", "a single package is a list, too"),
        ("https://me:s3cret-word@index/numpy.whl", "no such file"),
        (7, "it is a int"),
        (["numpy", 7], "it is a list"),
        (["numpy", "--index-url https://me:s3cret-word@index/simple"], "number 2 is no requirement"),
        (["numpy @ https://me:s3cret-word@index/numpy.whl"], "number 1 is an address"),
        ("[numpy", "Expecting value"),
    ],
)
def test_what_is_no_requirement_is_refused_and_not_shown(value: Any, why: str) -> None:
    with pytest.raises(SettingsError, match=why) as raised:
        AWSBatchExecutor(packages=value)
    assert "s3cret-word" not in str(raised.value)


def test_creating_an_executor_reads_nothing() -> None:
    assert AWSBatchExecutor(packages="nowhere/requirements.txt").packages == "nowhere/requirements.txt"


def test_sync_is_what_is_installed_here_and_what_is_local_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    install(tmp_path, "app", {}, ["lib-a>=1", "only-there; sys_platform == 'win32'"])
    install(tmp_path, "lib_a", {}, ["lib_b"])
    install(tmp_path, "lib_b", {}, ["lib_c"])
    install(tmp_path, "round_a", {}, ["round_b"])
    install(tmp_path, "round_b", {}, ["round_a"])
    install(tmp_path, "lib_c", {})
    install(tmp_path, "mine", {}, ["lib_c"], editable=tmp_path)
    for name in ("pip", "covalent", "covalent_awsbatch_plugin"):
        install(tmp_path, name, {})
    (tmp_path / "left-1.0.dist-info").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    found = packages.captured("sync")
    assert found == [
        "app==1.0",
        "--constraint=lib-a==1.0",
        "--constraint=lib-b==1.0",
        "--constraint=lib-c==1.0",
        "round-a==1.0",
        "round-b==1.0",
    ]
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        'packages="sync" leaves out what no index has: mine. Covalent takes a module along by ct.DepsModule.'
    ]
    install(tmp_path, "new", {})
    assert "new==1.0" in packages.captured("sync")
