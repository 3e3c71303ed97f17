"""Where packages come from: pip's configuration reaches uv, and its passwords reach the index and nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.package_index import Index, wheel

from covalent_awsbatch_plugin.environment.distributions import CannotPackError
from covalent_awsbatch_plugin.environment.packages import index as configuration
from covalent_awsbatch_plugin.environment.packages.download import downloaded
from covalent_awsbatch_plugin.environment.packages.resolve import resolved, target
from covalent_awsbatch_plugin.environment.packages.wanted import Requirements


@pytest.fixture
def pip(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration file of pip, in place of its variables."""
    monkeypatch.delenv("PIP_INDEX_URL")
    file = tmp_path / "pip.conf"
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
    assert index
    return file


def test_pips_configuration_is_uvs(index: Index, pip: Path, tmp_path: Path) -> None:
    pip.write_text(f"[global]\nindex-url = https://nowhere.invalid/simple\n[install]\nindex-url = {index.url}\n")
    variables = configuration.variables()
    assert variables["UV_DEFAULT_INDEX"] == index.url
    wheels = resolved(Requirements(("toolbox",)), [], target("x86_64", True), variables)
    assert [(one.name, one.version) for one in wheels] == [("nails", "1.5"), ("toolbox", "2.0")]
    assert all("s3cret-word" not in str(one) for one in wheels)
    files = downloaded(wheels, tmp_path, variables)
    assert [file.name for file in files] == [one.sha256 for one in wheels]


def test_a_second_index_is_asked_for_what_is_newer_there(
    index: Index, pip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Index() as other:
        other.add("nails", "3.0", wheel("nails", "3.0", {"nails.py": ""}))
        pip.write_text(f"[global]\nindex-url = {index.url}\nextra-index-url =\n  {other.url}\n")
        for constraints, version in (([], "3.0"), (["nails<3"], "1.5")):
            [nails] = resolved(Requirements(("nails",)), constraints, target("x86_64", True), configuration.variables())
            assert nails.version == version
        monkeypatch.setenv("UV_INDEX_URL", other.url)
        assert "UV_DEFAULT_INDEX" not in configuration.variables(), "what is said of uv counts"


@pytest.mark.parametrize("is_down", [False, True])
def test_an_index_that_refuses_or_is_down_is_named_without_its_password(index: Index, pip: Path, is_down: bool) -> None:
    url = index.url.replace("s3cret-word", "wr0ng-word")
    if is_down:
        index.server.__exit__(None, None, None)
    pip.write_text(f"[global]\nindex-url = {url}\n")
    with pytest.raises(CannotPackError) as raised:
        resolved(Requirements(("toolbox",)), [], target("x86_64", True), configuration.variables())
    assert "wr0ng-word" not in str(raised.value)
    assert "someone" not in str(raised.value)


def test_wheels_of_this_machine_are_found(index: Index, pip: Path, tmp_path: Path) -> None:
    content = wheel("local_one", "1.0", {"local_one.py": ""})
    (tmp_path / "local_one-1.0-py3-none-any.whl").write_bytes(content)
    pip.write_text(f"[global]\nindex-url = {index.url}\nfind-links = {tmp_path}\n")
    wheels = resolved(Requirements(("local-one",)), [], target("x86_64", True), configuration.variables())
    [file] = downloaded(wheels, tmp_path, configuration.variables())
    assert file.read_bytes() == content
