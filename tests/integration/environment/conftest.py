"""Fixtures: a job of the runner, without AWS Batch around it; and an index of packages of the test's own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.bench_fixtures import bench as runner_bench
from support.bench_fixtures import bench_endpoint
from support.package_index import Index, wheel

from covalent_awsbatch_plugin.environment import cache, requested

__all__ = ["bench_endpoint", "runner_bench"]

LARGE = 100_000


@pytest.fixture
def index(machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """What pip's configuration names, with `toolbox`, which needs `nails`."""
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("XDG_CACHE_HOME", str(machine))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    with Index("someone:s3cret-word") as made:
        made.add("nails", "1.0", wheel("nails", "1.0", {"nails.py": "SIZE = 4\n"}))
        made.add("nails", "1.5", wheel("nails", "1.5", {"nails.py": "SIZE = 5\n"}))
        code = {"toolbox/__init__.py": "import nails\nSIZE = nails.SIZE\n"}
        made.add("toolbox", "2.0", wheel("toolbox", "2.0", code, ["nails>=1"]))
        monkeypatch.setenv("PIP_INDEX_URL", made.url)
        yield made
    requested._ready.clear()
    # What is large is the runner's, which all tests may use.
    for place in cache.directory().iterdir() if cache.directory().exists() else ():
        if sum(file.stat().st_size for file in place.iterdir()) < LARGE:
            shutil.rmtree(place)


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that starts empty."""
    return tmp_path_factory.mktemp("machine")
