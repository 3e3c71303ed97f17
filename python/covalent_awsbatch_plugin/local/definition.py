"""A job definition of the embedded AWS: extends moto's record by what moto drops."""

from __future__ import annotations

from typing import Any

from moto.batch.models import JobDefinition

from . import node_properties

_KEPT = ("schedulingPriority", "ecsProperties", "eksProperties", "nodeProperties", "consumableResourceProperties")


class LocalDefinition(JobDefinition):
    """A revision of a job definition.

    Attributes:
        asked: The fields of the request that registered it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.asked: dict[str, Any] = {}

    @property
    def scheduling_priority(self) -> int | None:
        """Of its jobs in a queue with a scheduling policy, unless they have one of their own."""
        return self.asked.get("schedulingPriority")

    @property
    def platforms(self) -> set[str]:
        """What a queue has to have for its jobs."""
        return {"EKS"} if "eksProperties" in self.asked else set(self.platform_capabilities or ["EC2"])

    @property
    def ecs_properties(self) -> dict[str, Any] | None:
        """What it runs, or what each of its nodes runs, if that is described as an ECS task."""
        nodes = self.asked.get("nodeProperties")
        described = node_properties.only_range(nodes) if nodes else self.asked
        return described.get("ecsProperties")

    def describe(self) -> dict[str, Any]:
        """Returns what DescribeJobDefinitions says of it."""
        described = super().describe()
        if {"ecsProperties", "eksProperties", "nodeProperties"} & self.asked.keys():
            del described["containerProperties"]
        described.update({name: self.asked[name] for name in _KEPT if name in self.asked})
        return {name: value for name, value in described.items() if value is not None}
