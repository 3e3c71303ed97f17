"""Consumable resources: licences and other things that only so many jobs can have at once.

https://docs.aws.amazon.com/batch/latest/userguide/resource-aware-scheduling.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from moto.batch.exceptions import ClientException

TYPES = ("REPLENISHABLE", "NON_REPLENISHABLE")
"""Whether what a job had is there again when it has ended."""


@dataclass
class Consumable:
    """A consumable resource.

    Attributes:
        name: Its name.
        arn: Its ARN.
        total: How much there is.
        kind: One of `TYPES`.
        created_at: In milliseconds since the epoch.
        tags: Its tags.
        held: How much each job has, by the job's id.
        consumed: What jobs that have ended did not give back.
    """

    name: str
    arn: str
    total: int
    kind: str
    created_at: int
    tags: dict[str, str]
    held: dict[str, int] = field(default_factory=dict)
    consumed: int = 0

    @property
    def in_use(self) -> int:
        """How much jobs have that have not ended."""
        return sum(self.held.values())

    @property
    def available(self) -> int:
        """How much there is for further jobs; less than none after the total was lowered."""
        return self.total - self.consumed - self.in_use

    def describe(self) -> dict[str, Any]:
        """Returns what DescribeConsumableResource says of it."""
        return {
            "consumableResourceName": self.name,
            "consumableResourceArn": self.arn,
            "totalQuantity": self.total,
            "inUseQuantity": self.in_use,
            "availableQuantity": max(0, self.available),
            "resourceType": self.kind,
            "createdAt": self.created_at,
            "tags": self.tags,
        }


def wanted(properties: Mapping[str, Any] | None) -> dict[str, int]:
    """The quantities in `consumableResourceProperties`, by name or ARN."""
    entries = (properties or {}).get("consumableResourceList") or []
    return {entry["consumableResource"]: int(entry["quantity"]) for entry in entries}


class Consumables:
    """The consumable resources of the account."""

    def __init__(self) -> None:
        self._by_name: dict[str, Consumable] = {}

    def add(self, resource: Consumable) -> None:
        """Adds one.

        Raises:
            ClientException: There is one of its name, or it is none that there can be.
        """
        if resource.name in self._by_name:
            raise ClientException(f"Consumable resource {resource.name} already exists")
        if resource.kind not in TYPES:
            raise ClientException(f"resourceType must be one of {', '.join(TYPES)}")
        if resource.total < 0:
            raise ClientException("totalQuantity must not be negative")
        self._by_name[resource.name] = resource

    def find(self, name_or_arn: str) -> Consumable:
        """Finds one.

        Raises:
            ClientException: There is none.
        """
        found = self._by_name.get(name_or_arn.rpartition("/")[2])
        if found is None or name_or_arn not in (found.name, found.arn):
            raise ClientException(f"Consumable resource {name_or_arn} does not exist")
        return found

    def all(self) -> list[Consumable]:
        """All of them, oldest first."""
        return list(self._by_name.values())

    def remove(self, name_or_arn: str) -> None:
        """Removes one; as above."""
        del self._by_name[self.find(name_or_arn).name]

    def check(self, asked: Mapping[str, int]) -> None:
        """Refuses what no job can ask for.

        Raises:
            ClientException: There is no such resource, or none of it is asked for.
        """
        for name, quantity in asked.items():
            self.find(name)
            if quantity < 1:
                raise ClientException(f"quantity of consumable resource {name} must be at least 1")

    def suffice(self, job_id: str, asked: Mapping[str, int]) -> bool:
        """Whether a job can have what it asks for, or has it already; what was removed keeps it waiting."""
        found = {name: self._by_name.get(name.rpartition("/")[2]) for name in asked}
        return all(
            one is not None and (job_id in one.held or one.available >= asked[name]) for name, one in found.items()
        )

    def take(self, job_id: str, asked: Mapping[str, int]) -> None:
        """Notes that a job has what it asks for, until it ends; further attempts keep it."""
        for name, quantity in asked.items():
            self.find(name).held.setdefault(job_id, quantity)

    def release(self, job_id: str, asked: Iterable[str]) -> None:
        """Notes that a job has ended."""
        for name in asked:
            one = self._by_name.get(name.rpartition("/")[2])
            quantity = one.held.pop(job_id, 0) if one else 0
            if one and one.kind == "NON_REPLENISHABLE":
                one.consumed += quantity
