"""Adds placement groups to moto's EC2, without a place, and the descriptions of rules that name a group."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import moto.ec2.urls
from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ec2.responses import EC2Response

from .api import api_lock, patched_responses

_STRATEGIES = ("cluster", "partition", "spread")


class LocalEC2Response(EC2Response):
    """Answers EC2's calls, with moto where it supports them."""

    def create_placement_group(self) -> ActionResult:
        """Creates one, whose name is new in the region."""
        name, strategy = self._get_param("GroupName"), self._get_param("Strategy", "cluster")
        tags = self._parse_tag_specification("placement-group").get("placement-group", {})
        if strategy not in _STRATEGIES:
            raise EC2ClientError("InvalidParameterValue", f"Value ({strategy}) for parameter strategy is invalid.")
        with api_lock:
            if name in self._groups:
                raise EC2ClientError("InvalidPlacementGroup.Duplicate", f"The placement group {name} exists already.")
            number = f"pg-{uuid4().hex[:17]}"
            self._groups[name] = {
                "GroupName": name,
                "GroupId": number,
                "GroupArn": f"arn:aws:ec2:{self.region}:{self.current_account}:placement-group/{name}",
                "State": "available",
                "Strategy": strategy,
            }
            self.ec2_backend.create_tags([number], tags)
            return ActionResult({"PlacementGroup": self._described(name)})

    def describe_placement_groups(self) -> ActionResult:
        """Describes those that are named, or all of them."""
        with api_lock:
            names = self._get_param("GroupNames", []) or self._get_param("GroupName", []) or list(self._groups)
            self._check(names)
            return ActionResult({"PlacementGroups": [self._described(name) for name in names]})

    def delete_placement_group(self) -> ActionResult:
        """Deletes one."""
        name = self._get_param("GroupName")
        with api_lock:
            self._check([name])
            del self._groups[name]
        return EmptyResult()

    @property
    def _groups(self) -> dict[str, dict[str, Any]]:
        """Those of the region, by their names; moto forgets its backends, and these with them."""
        groups: dict[str, dict[str, Any]] = vars(self.ec2_backend).setdefault("placement_groups", {})
        return groups

    def _described(self, name: str) -> dict[str, Any]:
        group = self._groups[name]
        tags = self.ec2_backend.describe_tags(filters={"resource-id": [group["GroupId"]]})
        return {**group, "Tags": [{"Key": tag["key"], "Value": tag["value"]} for tag in tags]}

    def _check(self, names: list[str]) -> None:
        if missing := [name for name in names if name not in self._groups]:
            raise EC2ClientError("InvalidPlacementGroup.Unknown", f"The Placement Group '{missing[0]}' is unknown.")


@contextmanager
def patched_ec2() -> Iterator[None]:
    """Adds placement groups and descriptions to EC2 while the `with` block runs."""
    original = SecurityGroupRule.description
    SecurityGroupRule.description = property(_description)  # type: ignore[method-assign, assignment]
    try:
        with patched_responses(moto.ec2.urls, LocalEC2Response):
            yield
    finally:
        SecurityGroupRule.description = original  # type: ignore[method-assign]


def _description(rule: SecurityGroupRule) -> str | None:
    """Moto looks for it at addresses only."""
    description: str | None = rule.ip_range.get("Description") or rule.source_group.get("Description")
    return description
