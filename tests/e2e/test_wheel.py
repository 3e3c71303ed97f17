"""The wheel in an empty environment is a working executor."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from support.paths import ROOT

SCRIPT = """
import asyncio, importlib.metadata, sys
import covalent as ct
from covalent.executor import AWSBatchExecutor, _executor_manager
from covalent_awsbatch_plugin import _core

assert ct.executor.AWSBatchExecutor is AWSBatchExecutor
executor = _executor_manager.get_executor("awsbatch")
assert type(executor) is AWSBatchExecutor, executor
assert executor.to_dict()["short_name"] == "awsbatch"
assert _core.__version__ == importlib.metadata.version("covalent-awsbatch-plugin")
assert "covalent_awsbatch_plugin" in sys.modules and "aiobotocore" not in sys.modules
print(_core.__version__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is given, or one with the profile of the tests, so that the SDK is not compiled a second time."""
    if given := os.environ.get("WHEEL"):
        return ROOT / given
    out = tmp_path_factory.mktemp("wheel")
    maturin = Path(sys.executable).with_name("maturin")
    subprocess.run([maturin, "build", "--profile", "dev", "--strip", "--out", out], cwd=ROOT, check=True, timeout=600)
    return next(out.glob("*.whl"))


@pytest.mark.timeout(900)
def test_the_wheel_is_whole(wheel: Path) -> None:
    """One wheel for every Python from 3.10 on, with types and without what only development needs."""
    assert "-cp310-abi3-" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith(".dist-info/METADATA"))).decode()
        notices = archive.read(next(name for name in names if name.endswith(".dist-info/licenses/THIRD-PARTY-NOTICES")))
    package = {name.removeprefix("covalent_awsbatch_plugin/") for name in names}
    assert {"py.typed", "_core.pyi", "_core.abi3.so", "runner/__main__.py", "local/svm_workflow.py"} <= package
    assert {"assets/infra/batch.tf", "assets/infra/variables.tf"} <= package
    assert {name.rpartition("/")[2] for name in names if "/licenses/" in name} == {"LICENSE", "THIRD-PARTY-NOTICES"}
    assert notices == (ROOT / "THIRD-PARTY-NOTICES").read_bytes()
    assert not [name for name in names if "test" in name or "__pycache__" in name]
    required = [line for line in metadata.splitlines() if line.startswith("Requires-Dist:") and "extra ==" not in line]
    assert not [line for line in required if "boto3" in line or "covalent-aws" in line], required


@pytest.mark.skipif(
    sys.platform != "linux" or "WHEEL" not in os.environ, reason="release wheels for Linux: `make wheel test-wheel`"
)
def test_a_release_runs_with_glibc_2_17(wheel: Path) -> None:
    """Amazon Linux 2 has 2.26, RHEL 8 has 2.28, and pip goes by the name."""
    assert f"manylinux_2_17_{platform.machine()}" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        core = archive.read("covalent_awsbatch_plugin/_core.abi3.so")
    needed = {tuple(map(int, version.split(b"."))) for version in re.findall(rb"GLIBC_([0-9.]+)\0", core)}
    assert needed
    assert max(needed) <= (2, 17), needed


@pytest.mark.timeout(900)
def test_an_empty_environment_gets_a_working_executor(wheel: Path, tmp_path: Path) -> None:
    """`pip install` of the wheel alone, then `executor="awsbatch"`."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv/bin/python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], check=True, timeout=600)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    done = subprocess.run(
        [python, script], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].count(".") == 2
    told = subprocess.run(
        [tmp_path / "venv/bin/covalent-awsbatch", "local"], env=environment, capture_output=True, text=True, check=False
    )
    assert told.returncode == 1
    assert "covalent-awsbatch-plugin[local]" in told.stderr
