"""A server whose own packages do not fit its jobs: what is compiled comes from the index, in the same versions."""

from __future__ import annotations

import asyncio
import io
import platform
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from support.task_bench import TaskBench

from covalent_awsbatch_plugin.environment import prepare
from covalent_awsbatch_plugin.environment.distributions import CORE, OWN_REST, closure, files
from covalent_awsbatch_plugin.environment.packages import layers, locked
from covalent_awsbatch_plugin.environment.packages.index import variables
from covalent_awsbatch_plugin.environment.packages.resolve import Target
from covalent_awsbatch_plugin.errors import SettingsError
from covalent_awsbatch_plugin.task.connection import client

OWN = "covalent-awsbatch-plugin"
PYTHON = "{}.{}".format(*sys.version_info)
AARCH64 = 0xB7  # e_machine of an ELF file


def where() -> dict[str, Any]:
    import covalent
    import psutil
    import pydantic_core

    return {
        "prefix": sys.prefix,
        "path": [folder for folder in sys.path if "-packages" in folder],
        "files": [covalent.__file__, pydantic_core.__file__, psutil.__file__],
        "versions": [covalent.__version__, pydantic_core.__version__],
    }


@pytest.fixture(autouse=True)
def _by_value() -> Iterator[None]:
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    yield
    cloudpickle.unregister_pickle_by_value(module)
    prepare._ready.clear()


@pytest.fixture
def other_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """This one, with a processor that no machine of AWS Batch has."""
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")


def own_wheel(folder: Path, machine: str) -> None:
    """The wheel of this package as PyPI has it for a platform."""
    [distribution] = [one for name, one in closure([OWN]).items() if name == OWN]
    name = f"{OWN.replace('-', '_')}-{distribution.version}"
    with zipfile.ZipFile(
        folder / f"{name}-cp310-abi3-manylinux_2_28_{machine}.whl", "w", zipfile.ZIP_DEFLATED, compresslevel=1
    ) as wheel:
        for file in (file for part in ("", CORE, OWN_REST) for file in files(distribution, part)):
            if file.path.endswith(".so"):
                stripped = folder / "stripped"
                subprocess.run(["strip", "--strip-debug", "-o", stripped, file.source], check=True)
                wheel.write(stripped, file.path)
            elif not file.path.startswith(f"{name}.dist-info"):
                wheel.write(file.source, file.path)
        entry_points = distribution.read_text("entry_points.txt")
        assert entry_points, "of which its program is made"
        wheel.writestr(f"{name}.dist-info/entry_points.txt", entry_points)
        wheel.writestr(f"{name}.dist-info/METADATA", distribution.read_text("METADATA") or "")
        wheel.writestr(f"{name}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: false\n")
        wheel.writestr(f"{name}.dist-info/RECORD", "")


@pytest.mark.timeout(900)  # it packs all that the runner needs anew
@pytest.mark.usefixtures("other_machine")
def test_a_task_runs_with_the_servers_versions(
    bench: TaskBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_wheel(tmp_path, "x86_64")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    executor = bench.executor(container_image_uri="", memory=2, time_limit=600)
    found = asyncio.run(executor.run(where, [], {}, bench.task())).get_deserialized()
    assert all(file.startswith(found["prefix"]) for file in found["files"])
    ours = [folder.startswith(found["prefix"]) for folder in found["path"]]
    assert ours == sorted(ours, reverse=True), "what is fetched on demand comes before the image's packages, too"
    assert ours[:3] == [True, True, True]
    own = closure(["covalent", "pydantic-core"])
    assert found["versions"] == [own["covalent"].version, own["pydantic-core"].version]
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    prepare._ready.clear()
    settings = executor._settings()
    again = asyncio.run(prepare.environment(settings, client(settings), io.StringIO()))
    assert again is not None, "the index is asked once a month"
    assert again.machine == "x86_64"


@pytest.mark.usefixtures("other_machine")
@pytest.mark.usefixtures("index")
def test_what_the_index_does_not_have_is_named(bench: TaskBench) -> None:
    executor = bench.executor(container_image_uri="")
    with pytest.raises(
        SettingsError, match="jobs have Linux on x86_64, and the wheels for that cannot be had"
    ) as raised:
        asyncio.run(executor.run(where, [], {}, bench.task()))
    assert "set container_image_uri to an image" in raised.value.message


def test_a_graviton_job_gets_what_is_compiled_for_it() -> None:
    wheels = locked.pinned(closure(["psutil"]), Target(PYTHON, "aarch64-manylinux_2_28"), variables)
    [packed] = layers.packed(wheels, PYTHON, variables)
    with tarfile.open(packed.file) as tar:
        [library] = [one for one in tar.getmembers() if one.name.endswith(".so")]
        content = tar.extractfile(library)
        assert content is not None
        assert int.from_bytes(content.read(20)[18:20], "little") == AARCH64
