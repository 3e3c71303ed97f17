"""Calls and rights that do not agree fail a run of the tests, whichever of its processes saw the call."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support import rights
from support.paths import TESTS

CONFTEST = f"""
import sys
sys.path.append({str(TESTS)!r})
from pathlib import Path
from support import rights
rights.TESTS = Path(__file__).parent

def pytest_configure(config):
    config.pluginmanager.register(rights.Rights())
"""
A_TEST = """
from support import calls

def test():
    calls.seen.update({calls!r})
"""


ONE, *OTHERS = sorted(rights.KNOWN)
UNKNOWN = "StopTheWorld was asked for, and doctor/policy.py has no right for it"
IDLE = f"doctor/policy.py has a right for {ONE}, and no test asked for it"


def test_every_call_needs_its_right_and_every_right_its_call() -> None:
    assert rights.problems(rights.KNOWN, is_whole=True) == []
    assert rights.problems({*rights.KNOWN, "StopTheWorld"}, is_whole=True) == [UNKNOWN]
    assert rights.problems(set(OTHERS), is_whole=True) == [IDLE]
    assert rights.problems(set(OTHERS), is_whole=False) == [], "only a run of all tests can tell"


def test_what_two_workers_saw_is_looked_at_together(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]", encoding="utf-8")
    for name, seen in (("one", OTHERS[::2]), ("two", [*OTHERS[1::2], "StopTheWorld"])):
        (tmp_path / f"test_{name}.py").write_text(A_TEST.format(calls=seen), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "--numprocesses=2", "--dist=loadfile"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert [line for line in done.stdout.splitlines() if "doctor/policy.py" in line] == [UNKNOWN, IDLE]
    assert "2 passed" in done.stdout
    assert done.returncode == 1
