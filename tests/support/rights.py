"""The table of rights, held against what the core asked of AWS while all tests ran, in however many processes.

A plugin of pytest. With workers of pytest-xdist each of them hands on what it saw, and the process that started them
looks at all of it when the last test has ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from covalent_awsbatch_plugin.doctor.policy import DOCTOR, FREE, USER

from . import calls
from .paths import TESTS

_OPERATIONS = {operation for right in (*USER, *DOCTOR) for operation in right.operations} | set(FREE)
KNOWN = {operation.partition(":")[2] for operation in _OPERATIONS}
# Asked for by an assumed role's credentials themselves, before there is anybody who could have rights.
SIGNING = {"AssumeRole", "AssumeRoleWithWebIdentity"}


def problems(seen: set[str], is_whole: bool) -> list[str]:
    """What does not agree.

    Args:
        seen: The operations that were asked for.
        is_whole: Whether all tests ran; else nobody can tell which right nothing needs.
    """
    lacking = sorted(seen - KNOWN - SIGNING)
    idle = sorted(KNOWN - seen) if is_whole else []
    return [
        *(f"{operation} was asked for, and doctor/policy.py has no right for it" for operation in lacking),
        *(f"doctor/policy.py has a right for {operation}, and no test asked for it" for operation in idle),
    ]


class Rights:
    """Gathers the calls of all processes, and fails a run whose calls and rights do not agree."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._whole: list[bool] = []
        self._is_chosen = False
        self._problems: list[str] = []

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Notes that not all tests run."""
        self._is_chosen = self._is_chosen or bool(items)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Notes whether all files of tests run."""
        files = {item.path for item in session.items}
        self._whole.append(not self._is_chosen and files == set(TESTS.rglob("test_*.py")))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Takes what a worker hands on; one that crashed has nothing."""
        output = getattr(node, "workeroutput", {})
        self._seen.update(output.get("calls", ()))
        self._whole.append(output.get("is_whole", False))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Hands on what this worker saw, or looks at what all of them did."""
        self._seen |= calls.seen
        is_whole = bool(self._whole) and all(self._whole)
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output.update(calls=sorted(self._seen), is_whole=is_whole)
            return
        self._problems = problems(self._seen, is_whole and not session.testsfailed)
        if self._problems and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Says what does not agree."""
        if self._problems:
            terminalreporter.section("calls and rights do not agree", red=True)
            for line in self._problems:
                terminalreporter.write_line(line)
