"""What makes a release: the notices, and the search for what a wheel must not say."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.paths import ROOT

NOTICES = ROOT / "THIRD-PARTY-NOTICES"


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "scripts" / script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_notices_name_every_crate_that_is_linked(tmp_path: Path) -> None:
    done = run("notices.py", "--check")
    assert done.returncode == 0, done.stderr
    listed = NOTICES.read_text(encoding="utf-8")
    tree = ["cargo", "tree", "--locked", "--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"]
    crates = subprocess.run(tree, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    for crate in {line.partition(" (")[0] for line in crates if line and "covalent-awsbatch-plugin" not in line}:
        assert f"\n{crate.replace(' v', ' ')}: " in listed
    for text in ("Tokio Contributors", "ISC", "UNICODE LICENSE V3", "zlib", "OpenSSL", "Redistributions of source"):
        assert text.lower() in listed.lower(), text

    stale = tmp_path / "notices"
    stale.write_text(listed.replace("\nbytes 1", "\nbytes 0", 1), encoding="utf-8")
    done = run("notices.py", "--check", "--file", stale)
    assert done.returncode == 1
    assert "make notices" in done.stderr


@pytest.mark.parametrize("place", [ROOT, Path.home()])
def test_a_wheel_that_names_a_directory_of_this_machine_is_refused(tmp_path: Path, place: Path) -> None:
    wheel = tmp_path / "some.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("package/clean.py", "~/.cargo/registry")
        archive.writestr("package/_core.so", b"\x7fELF\0" * 1000 + bytes(place) + b"/src/lib.rs\0")
    done = run("wheel.py", "--check", wheel)
    assert done.returncode == 1
    assert f"package/_core.so: {place}" in done.stderr
    assert "clean.py" not in done.stderr
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("package/_core.so", b"crates/bytes-1/src/lib.rs\0")
    assert run("wheel.py", "--check", wheel).returncode == 0
