"""Trouble that is none of the function's: what is tried again, how it is told, and what AWS does not know yet."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from lab import Lab, endings, faults, results
from lab.endings import EXITED, NOT_STARTED, Ending, Try

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.errors import AWSBatchError, JobFailedError

NOT_FOUND = "JobDefinition arn:aws:batch:us-east-1:123456789012:job-definition/covalent-batch-jobs:1 not found"
CROWDED = "Too many concurrent attempts to create a new revision of the job definition"
# What AWS says, in `statusReason` and in `container.reason`.
INFRASTRUCTURE = {
    "host": ("Host EC2 (instance i-0123456789abcdef0) terminated.", None),
    "spot": ("Your Spot Task was interrupted.", None),
    "bare": (NOT_STARTED, None),
    "interface": ("Timeout waiting for network interface provisioning to complete.", None),
    "subnet": ("Error retrieving subnet information for [subnet-0]: Rate exceeded", None),
    "pull": (NOT_STARTED, "CannotPullContainerError: pull image manifest has been retried 5 time(s)"),
    "pull-in-the-status": ("CannotPullContainerError: inspect image has been retried 5 time(s)", None),
    "initialization": (NOT_STARTED, "ResourceInitializationError: unable to pull secrets or registry auth"),
    "initialization-in-the-status": ("ResourceInitializationError: failed to validate logger args", None),
    "role": ("ECS was unable to assume the role 'arn:aws:iam::123456789012:role/r'", None),
    "docker": (NOT_STARTED, "DockerTimeoutError: Could not transition to started; timed out after waiting 3m0s"),
    "not-inspected": (EXITED, "CannotInspectContainerError: Could not transition to inspecting"),
}
FUNCTION = {"exception": endings.raised(), "memory": endings.out_of_memory(), "exit": endings.exited(3)}


def _failing(status_reason: str, container_reason: str | None) -> Ending:
    attempt = Try(None, status_reason, container_reason, failed=True, result=results.nothing)
    return Ending((attempt, *endings.succeed().tries))


async def _outcome(lab: Lab, node: str = "1", **options: Any) -> Any:
    executor = AWSBatchExecutor(**{**lab.options, "vcpu": 1, "poll_freq": 1, **options})
    try:
        return await executor.run(len, ["x"], {}, {"dispatch_id": str(uuid.uuid4()), "node_id": node})
    except AWSBatchError as error:
        return error


def test_infrastructure_is_tried_again_and_what_the_function_did_is_not() -> None:
    chosen = {f"*-{name}": _failing(*said) for name, said in INFRASTRUCTURE.items()}
    chosen |= {f"*-{name}": ending for name, ending in FUNCTION.items()}

    async def all_of_them(lab: Lab) -> list[Any]:
        options = {"retry_on": "infrastructure", "retry_attempts": 3}
        return await asyncio.gather(*(_outcome(lab, name, **options) for name in (*INFRASTRUCTURE, *FUNCTION)))

    with Lab(endings=chosen) as lab:
        outcomes = dict(zip((*INFRASTRUCTURE, *FUNCTION), asyncio.run(all_of_them(lab)), strict=True))
    assert {name for name, outcome in outcomes.items() if isinstance(outcome, Exception)} == set(FUNCTION)
    assert [outcomes[name].details["attempts"] for name in FUNCTION] == [1, 1, 1]


def test_an_exception_that_was_tried_again_says_so() -> None:
    with Lab(endings={"*": endings.raised()}) as lab:
        outcome = asyncio.run(_outcome(lab, retry_attempts=3))
    assert isinstance(outcome, JobFailedError)
    assert str(outcome).endswith(
        "The job failed in all 3 attempts (retry_attempts=3). "
        'With retry_on="infrastructure" an exception of the function is not tried again.'
    )


@pytest.mark.parametrize(
    ("operation", "message"), [("SubmitJob", NOT_FOUND), ("RegisterJobDefinition", CROWDED)], ids=["new", "crowded"]
)
def test_a_definition_that_not_all_of_aws_knows_yet_is_waited_for(operation: str, message: str) -> None:
    with Lab() as lab:
        lab.faults(faults.refuse(operation, "ClientException", message, times=4))
        outcome = asyncio.run(_outcome(lab))
        assert not isinstance(outcome, Exception), outcome
        assert len(lab.jobs()) == 1


def test_what_the_log_says_is_bounded_and_a_denied_log_is_named() -> None:
    printing = endings.printing(endings.exited(3), *["x" * 200_000] * 30)
    with Lab(endings={"*": printing}) as lab:
        bounded = asyncio.run(_outcome(lab))
        lab.faults(faults.denied("GetLogEvents"))
        denied = asyncio.run(_outcome(lab))
    assert "The last lines of its log:\n  xxx" in str(bounded)
    assert len(str(bounded)) < 30_000
    assert "Its log (log group covalent-batch-job-logs, stream " in str(denied)
    assert "may not be read here: AWS denied logs:GetLogEvents" in str(denied)
