"""Consumable resources of the embedded AWS: created, changed, and what keeps jobs waiting."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.local_account import QUEUE, WAIT_FOR, LocalAccount


@pytest.fixture
def licence(account: LocalAccount, request: pytest.FixtureRequest) -> Iterator[str]:
    """Two licences, which come back unless a test says otherwise."""
    kind = getattr(request, "param", "REPLENISHABLE")
    account.batch.create_consumable_resource(consumableResourceName="licence", totalQuantity=2, resourceType=kind)
    yield "licence"
    account.batch.delete_consumable_resource(consumableResource="licence")


def needing(quantity: int, name: str = "licence") -> dict[str, Any]:
    return {"consumableResourceList": [{"consumableResource": name, "quantity": quantity}]}


def submit(account: LocalAccount, shell: str, quantity: int) -> str:
    definition = account.batch.register_job_definition(
        jobDefinitionName="licensed",
        type="container",
        containerProperties={
            "image": "image:1",
            "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "512"}],
        },
        consumableResourceProperties=needing(quantity),
    )["jobDefinitionArn"]
    return account.submit(shell, definition=definition)


def amounts(account: LocalAccount) -> tuple[int, int, int]:
    found = account.batch.describe_consumable_resource(consumableResource="licence")
    return found["totalQuantity"], found["inUseQuantity"], found["availableQuantity"]


def test_a_job_waits_until_there_is_enough(account: LocalAccount, licence: str, tmp_path: Path) -> None:
    go = tmp_path / "go"
    first = submit(account, WAIT_FOR.format(go), 1)
    second = submit(account, WAIT_FOR.format(go), 2)
    account.wait(first, "RUNNING")
    assert amounts(account) == (2, 1, 1)
    assert account.describe(second)["status"] == "RUNNABLE"
    assert account.describe(second)["consumableResourceProperties"] == needing(2)
    account.batch.update_consumable_resource(consumableResource=licence, operation="ADD", quantity=1)
    account.wait(second, "RUNNING")
    assert amounts(account) == (3, 3, 0)
    listed = account.batch.list_jobs_by_consumable_resource(consumableResource=licence)["jobs"]
    assert [(job["jobStatus"], job["quantity"]) for job in listed] == [("RUNNING", 1), ("RUNNING", 2)]
    go.touch()
    account.wait(first)
    account.wait(second)
    assert amounts(account) == (3, 0, 3)


@pytest.mark.usefixtures("licence")
def test_a_job_keeps_what_it_has_between_attempts(account: LocalAccount, tmp_path: Path) -> None:
    counter = tmp_path / "attempts"
    shell = f"echo x >> {counter}; [ $(wc -l < {counter}) = 3 ]"
    job_id = account.batch.submit_job(
        jobName="job",
        jobQueue=QUEUE,
        jobDefinition=account.define(),
        containerOverrides={"command": ["sh", "-c", shell]},
        retryStrategy={"attempts": 3},
        consumableResourcePropertiesOverride=needing(2),
    )["jobId"]
    assert len(account.wait(job_id)["attempts"]) == 3
    assert amounts(account) == (2, 0, 2)


@pytest.mark.parametrize("licence", ["NON_REPLENISHABLE"], indirect=True)
def test_what_is_used_up_does_not_come_back(account: LocalAccount, licence: str) -> None:
    account.wait(submit(account, "true", 2))
    assert amounts(account) == (2, 0, 0)
    waiting = submit(account, "true", 1)
    assert account.describe(waiting)["status"] == "RUNNABLE"
    account.batch.update_consumable_resource(consumableResource=licence, operation="SET", quantity=3)
    assert account.wait(waiting)["status"] == "SUCCEEDED"


def test_what_cannot_be_is_refused(account: LocalAccount, licence: str) -> None:
    with pytest.raises(ClientError, match="Consumable resource gone does not exist"):
        account.submit("true", consumableResourcePropertiesOverride=needing(1, "gone"))
    with pytest.raises(ClientError, match="must be at least 1"):
        account.submit("true", consumableResourcePropertiesOverride=needing(0))
    with pytest.raises(ClientError, match="already exists"):
        account.batch.create_consumable_resource(consumableResourceName=licence, totalQuantity=1)
    with pytest.raises(ClientError, match="leaves no quantity"):
        account.batch.update_consumable_resource(consumableResource=licence, operation="REMOVE", quantity=3)
    many = [{"consumableResource": str(number), "quantity": 1} for number in range(6)]
    with pytest.raises(ClientError, match="at most 5"):
        account.submit("true", consumableResourcePropertiesOverride={"consumableResourceList": many})
