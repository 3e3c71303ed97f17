"""Installed packages as entries of a tar file."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from support.installed import install

from covalent_awsbatch_plugin.environment.distributions import files
from covalent_awsbatch_plugin.environment.pack import LIBRARY, PREFIX, pack


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty `site-packages`."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.setattr(sys, "path", [str(site)])
    return site


def test_only_files_are_packed_and_a_link_as_what_it_leads_to(site: Path, tmp_path: Path) -> None:
    install(site, "f", {"f/__init__.py": "", "f/link.py": None, "f/nowhere.py": None, "f/pipe.py": None})
    (tmp_path / "target.py").write_text("X = 1\n")
    (site / "f" / "link.py").symlink_to(tmp_path / "target.py")
    (site / "f" / "nowhere.py").symlink_to(tmp_path / "gone.py")
    os.mkfifo(site / "f" / "pipe.py")
    found = {one.path: one for one in files(importlib.metadata.distribution("f"))}
    assert {path for path in found if path.endswith(".py")} == {"f/__init__.py", "f/link.py"}
    pack(["f"], "site-packages", {}, tmp_path / "packed")
    with tarfile.open(tmp_path / "packed") as tar:
        assert all(entry.isfile() for entry in tar)
        link = tar.extractfile(f"{PREFIX}/{LIBRARY}/site-packages/f/link.py")
        assert link is not None
        assert link.read() == b"X = 1\n"


def test_the_program_tar_of_a_job_unpacks_long_names(site: Path, tmp_path: Path) -> None:
    paths = [f"f/{'x' * 95}", f"f/{'directory/' * 12}name.py", f"f/{'ä' * 100}"]
    install(site, "f", dict.fromkeys(paths, "here = 1\n"))
    pack(["f"], "site-packages", {}, tmp_path / "packed")
    subprocess.run(["tar", "xzfC", tmp_path / "packed", tmp_path], check=True)
    for path in paths:
        assert (tmp_path / PREFIX / LIBRARY / "site-packages" / path).read_text() == "here = 1\n"
