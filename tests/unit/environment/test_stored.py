"""What is kept on this machine as it is: found by its content, made again where it was lost."""

from __future__ import annotations

import gzip
import hashlib
import os
import zipfile
from pathlib import Path

import pytest

from covalent_awsbatch_plugin.environment import cache, runtime
from covalent_awsbatch_plugin.environment.distributions import CORE_FILE, CORE_SUFFIX
from covalent_awsbatch_plugin.environment.packages import layers
from covalent_awsbatch_plugin.environment.packages.resolve import Wheel


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_it_is_found_by_its_content() -> None:
    assert layers.find(b"core", ".so") is None
    one = layers.stored(b"core", ".so")
    assert one == layers.find(b"core", ".so") == layers.stored(b"core", ".so")
    assert one.file.read_bytes() == b"core"
    assert one.key == f"environments/{one.file.name}"


def test_what_another_process_stored_first_is_kept(home: Path) -> None:
    one = layers.stored(b"core", ".so")
    before = one.file.stat().st_ino
    second = home / "new-second"
    second.mkdir()
    (second / one.file.name).write_bytes(b"core")
    layers._take(second, one.file.parent, one.file.name)
    assert one.file.stat().st_ino == before
    assert not second.exists()


def test_to_look_what_is_in_use_writes_nothing(home: Path) -> None:
    assert {one.key for one in runtime.found(os.uname().machine)} == {""}
    assert not home.exists()


def test_the_core_of_a_wheel_is_made_again_where_it_was_lost(tmp_path: Path) -> None:
    file = tmp_path / "covalent_awsbatch_plugin-1-cp310-abi3-manylinux_2_28_riscv64.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(CORE_FILE, b"core")
        for name in ("METADATA", "RECORD", "WHEEL"):
            archive.writestr(f"covalent_awsbatch_plugin-1.dist-info/{name}", "")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    wheel = Wheel("covalent-awsbatch-plugin", "1", file.name, digest, file.as_uri())
    one = layers.core(wheel, "3.11", dict)
    assert (one.file.read_bytes(), one.file.suffix) == (b"core", CORE_SUFFIX)
    [rest] = layers.packed([wheel], "3.11", dict)
    assert CORE_FILE.encode() not in gzip.decompress(rest.file.read_bytes())
    for lost in (one, rest):
        lost.file.unlink()
        lost.file.with_name(f"{rest.file.name}.diff-id").touch()
        assert layers.core(wheel, "3.11", dict) == one
        assert layers.packed([wheel], "3.11", dict) == [rest]
        assert one.file.exists()
        assert rest.file.exists()
