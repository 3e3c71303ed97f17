"""What is installed: closures, files, and what cannot be packed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.installed import install

from covalent_awsbatch_plugin.environment.distributions import (
    CORE,
    OWN_REST,
    CannotPackError,
    closure,
    files,
    fingerprint,
    modules,
)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site-packages in which `a` needs `b`, with an extra also `c`, and not `d`."""
    install(tmp_path, "a", {"a/__init__.py": "A = 1"}, ["B-b>=1", "c; extra == 'more'", "d; python_version < '3'"])
    install(tmp_path, "b_b", {"b_b.py": "", "../../../bin/b": "#!", "b_b-1.0.data/x": ""}, ["a"])
    install(tmp_path, "c", {"c.py": ""})
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    return tmp_path


@pytest.mark.usefixtures("site")
def test_a_closure_is_what_is_needed_here() -> None:
    assert list(closure(["a"])) == ["a", "b-b"]
    assert list(closure(["a[more]"])) == ["a", "b-b", "c"]


def test_what_is_needed_and_missing_is_named(site: Path) -> None:
    install(site, "e", {"e.py": ""}, ["absent>=2"])
    with pytest.raises(CannotPackError, match="absent>=2 is needed and not installed here"):
        closure(["e"])


def test_what_lies_outside_of_site_packages_stays_there(site: Path) -> None:
    install(site, "f", {"f.py": "", "/etc/passwd": None, "../escape.py": "", "f.pth": "import os", "f.pyc": ""})
    for name, expected in {"b-b": {"b_b.py", "b_b-1.0.data/x"}, "f": {"f.py"}}.items():
        [distribution] = [one for key, one in closure([name]).items() if key == name]
        found = {file.path for file in files(distribution) if ".dist-info" not in file.path}
        assert found == expected, name


def test_a_part_is_apart(site: Path) -> None:
    own = "covalent_awsbatch_plugin"
    names = ("__init__.py", "show/__init__.py", "show/tables.py", "showing.py", "_core.abi3.so", "_core.pyi")
    install(site, own, {f"{own}/{name}": "" for name in names})
    distribution = closure(["covalent-awsbatch-plugin"])["covalent-awsbatch-plugin"]

    def found(part: str) -> set[str]:
        paths = [file.path for file in files(distribution, part)]
        return {path.removeprefix(f"{own}/") for path in paths if ".dist-info" not in path}

    assert found("") == {"__init__.py", "showing.py", "_core.pyi"}
    assert found(OWN_REST) == {"show/__init__.py", "show/tables.py"}
    assert found(CORE) == {"_core.abi3.so"}
    assert modules(distribution) == {own}
    assert f"{own}.show" in modules(distribution, OWN_REST)


def test_a_package_without_a_record_is_named(site: Path) -> None:
    (site / "c-1.0.dist-info" / "RECORD").unlink()
    with pytest.raises(CannotPackError, match="c has no record of its files"):
        list(files(closure(["c"])["c"]))


def test_a_package_under_development_is_packed_from_where_it_lies(site: Path, tmp_path: Path) -> None:
    source = tmp_path / "source" / "mine"
    source.mkdir(parents=True)
    (source / "__init__.py").write_text("VERSION = 1")
    install(site, "mine", {}, editable=source.parent)
    sys.path.append(str(source.parent))
    distribution = closure(["mine"])["mine"]
    first = next(files(distribution))
    assert (first.path, first.source) == ("mine/__init__.py", source / "__init__.py")
    before = fingerprint(distribution)
    assert fingerprint(distribution) == before
    (source / "__init__.py").write_text("VERSION = 2")
    assert fingerprint(distribution) != before
