"""What the tests over HTTP share."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_TESTS = Path(__file__).parents[1]
if str(_TESTS) not in sys.path:
    sys.path.append(str(_TESTS))  # for `support`: pytest's importlib mode adds nothing to the path by itself

from support.probing import Probe  # noqa: E402


@pytest.fixture(scope="session")
def probe_process() -> Iterator[subprocess.Popen[str]]:
    """`support/probe.py`, which waits for cases."""
    with subprocess.Popen(
        [sys.executable, str(_TESTS / "support" / "probe.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=30)


@pytest.fixture
def probe(probe_process: subprocess.Popen[str], tmp_path: Path) -> Probe:
    """`probe(environment, **settings)`: see `Probe`."""
    return Probe(probe_process, tmp_path)
