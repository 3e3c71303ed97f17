"""The table of rights, held against what the core asked of AWS while all other tests ran. It runs last."""

from __future__ import annotations

import pytest
from support import calls
from support.paths import TESTS

from covalent_awsbatch_plugin.doctor.policy import DOCTOR, FREE, USER

KNOWN = {operation for right in (*USER, *DOCTOR) for operation in right.operations} | set(FREE)
# Asked for by an assumed role's credentials themselves, before there is anybody who could have rights.
SIGNING = {"AssumeRole", "AssumeRoleWithWebIdentity"}

# Moto has none of it: a test of the doctor answers for ECR itself.
ANSWERED_BY_A_TEST = {"GetDownloadUrlForLayer"}


def test_no_call_lacks_its_right() -> None:
    assert calls.seen <= {operation.partition(":")[2] for operation in KNOWN} | SIGNING


def test_no_right_lacks_its_call(request: pytest.FixtureRequest) -> None:
    """Only a run of all tests can tell."""
    if {"unit", "integration", "e2e"} - {item.path.relative_to(TESTS).parts[0] for item in request.session.items}:
        pytest.skip("not all tests run")
    assert {operation.partition(":")[2] for operation in KNOWN} - ANSWERED_BY_A_TEST <= calls.seen
