"""Packing in a process of its own, the same bytes each time, once on a machine."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.installed import install

from covalent_awsbatch_plugin.environment import cache
from covalent_awsbatch_plugin.environment.distributions import CannotPackError, closure
from covalent_awsbatch_plugin.environment.pack import PREFIX

SITE = "{}/lib/python{}.{}/site-packages".format(PREFIX, *sys.version_info)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache, and a package `a` beside all that is installed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    site = tmp_path / "site"
    site.mkdir()
    code = "NAMES = {'b', 'a', 'c'}\ndef f(x):\n    return x in {'q', 'r'}\n"
    install(site, "a", {"a/__init__.py": code, "a/old.py": "print 'python 2'", "a/data.txt": "x" * 200_000})
    monkeypatch.syspath_prepend(str(site))
    yield site
    sys.modules.pop("a", None)


@pytest.mark.usefixtures("home")
def test_what_is_packed_can_be_used_without_being_compiled(tmp_path: Path) -> None:
    one = cache.packed(closure(["a"]), more={"bin/pip": "#!/bin/sh\n"})
    assert one.packages == 1
    with tarfile.open(one.file) as tar:
        entries = {entry.name: entry for entry in tar}
        assert all(entry.isfile() and (entry.uid, entry.mtime, entry.uname) == (0, 0, "") for entry in entries.values())
        tar.extractall(tmp_path / "there", filter="data")
    assert f"{SITE}/a/__pycache__/old.{sys.implementation.cache_tag}.pyc" not in entries, "no Python of this version"
    assert entries[f"{PREFIX}/bin/pip"].mode & 0o100
    site = tmp_path / "there" / SITE
    [compiled] = site.rglob("__init__*.pyc")
    before = compiled.read_bytes()
    sys.path.insert(0, str(site))
    try:
        import a

        assert a.__file__ == str(site / "a" / "__init__.py")
        assert a.f("q")
    finally:
        sys.path.remove(str(site))
    assert compiled.read_bytes() == before


@pytest.mark.usefixtures("home")
def test_the_same_packages_are_packed_once_and_to_the_same_bytes() -> None:
    first = cache.packed(closure(["a"]))
    written = first.file.stat().st_mtime_ns
    assert cache.packed(closure(["a"])) == first
    assert first.file.stat().st_mtime_ns == written
    first.file.unlink()
    first.file.parent.rmdir()
    again = cache.packed(closure(["a"]))
    assert again.key == first.key
    assert again.file.stat().st_mtime_ns > written


def test_a_change_of_a_package_makes_another_object(home: Path) -> None:
    first = cache.packed(closure(["a"]))
    record = home / "a-1.0.dist-info" / "RECORD"
    (home / "a" / "__init__.py").write_text("NAMES = ()")
    record.write_text(record.read_text().replace("a/__init__.py,,", "a/__init__.py,sha256=other,10"))
    assert cache.packed(closure(["a"])).key != first.key


def test_why_it_could_not_be_packed_is_told_and_nothing_is_left(home: Path) -> None:
    distributions = closure(["a"])
    record = home / "a-1.0.dist-info" / "RECORD"
    cannot = record.with_name("gone")
    record.rename(cannot)
    with pytest.raises(CannotPackError, match="a has no record of its files"):
        cache.packed(distributions)
    assert list(cache.directory().iterdir()) == []


def packing(home: Path, *inside: str) -> subprocess.Popen[str]:
    """Another process that packs the same, and prints the key, or why it cannot, and what is left then.

    Args:
        home: Where the package is installed.
        *inside: The beginning of the command line of a program that runs it.
    """
    program = f"""
from {cache.__name__} import directory, packed
from covalent_awsbatch_plugin.environment.distributions import CannotPackError, closure
try:
    print(packed(closure(["a"])).key)
except (CannotPackError, OSError) as error:
    print(type(error).__name__, error, *directory().iterdir())
"""
    path = os.pathsep.join([str(home), *filter(None, sys.path)])
    return subprocess.Popen(
        [*inside, sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_processes_that_need_the_same_pack_it_once(home: Path) -> None:
    others = [packing(home) for _ in range(3)]
    keys = {process.communicate(timeout=120)[0].strip() for process in others}
    [place] = cache.directory().iterdir()
    [file] = place.iterdir()
    assert keys == {f"environments/{file.name}"}
    assert hashlib.sha256(file.read_bytes()).hexdigest() in file.name
    assert cache.packed(closure(["a"])).file == file


def test_a_disk_that_is_full_is_told_and_nothing_is_left(home: Path) -> None:
    """Of a real file system."""
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("no mount namespaces without more rights")
    (home / "a" / "data.txt").write_text(random.Random(1).randbytes(200_000).hex())
    cache.directory().mkdir(parents=True)
    mount = 'mount -t tmpfs -o size=64k none "$0" && exec "$@"'
    process = packing(home, "unshare", "--mount", "sh", "-c", mount, str(cache.directory()))
    printed = process.communicate(timeout=120)[0]
    assert printed == "CannotPackError [Errno 28] No space left on device\n"


def test_a_process_that_is_killed_leaves_nothing_that_is_used(home: Path) -> None:
    """A package that takes long: the process is killed while its file is being written."""
    for number in range(80):
        (home / "a" / f"more{number}.py").write_text(f"NUMBER = {number}\n" * 3000)
    record = home / "a-1.0.dist-info" / "RECORD"
    record.write_text(record.read_text() + "".join(f"a/more{number}.py,,\n" for number in range(80)))
    process = packing(home)
    deadline = time.monotonic() + 60
    while not list(cache.directory().glob("new-*/packed")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    [left] = cache.directory().iterdir()
    found = cache.packed(closure(["a"]))
    assert hashlib.sha256(found.file.read_bytes()).hexdigest() in found.key
    assert left.exists(), "another process may be at it"
    os.utime(left, (0, 0))
    cache.packed(closure(["a"]))
    assert list(cache.directory().iterdir()) == [found.file.parent]


@pytest.mark.usefixtures("home")
def test_what_another_process_packed_meanwhile_is_taken() -> None:
    """Its file is there when this one has finished, and may have other bytes."""
    first = cache.packed(closure(["a"]))
    other = first.file.with_name("sha256-other.tar.gz")
    first.file.rename(other)
    found = cache._pack(closure(["a"]), "site-packages", {}, other.parent)
    assert found == other
    assert [entry.name for entry in cache.directory().iterdir()] == [other.parent.name]
