"""What a plan of Terraform's would do, short enough for one screen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_SIGNS = {
    ("create",): ("+", "green"),
    ("update",): ("~", "yellow"),
    ("delete",): ("-", "red"),
    ("create", "delete"): ("±", "red"),
    ("delete", "create"): ("±", "red"),
}
_MOST_CHARS = 30
"""Of a value that changes."""

_SERVICES = ("batch", "iam", "s3", "ecr", "cloudwatch")
"""By which resources are shown; what is left is the network."""
_OF_BATCH = ("aws_launch_template", "aws_cloudformation_stack")
"""What Batch's own are made of, though its name does not say so."""


@dataclass(frozen=True)
class Line:
    """A line of the summary.

    Attributes:
        before: What stands before it, and before what is broken off it as many spaces.
        text: The rest.
        style: Its colour.
    """

    before: str
    text: str
    style: str


def count(changes: Sequence[Mapping[str, Any]]) -> int:
    """How many things would be created, changed or deleted; one that is replaced counts twice.

    Args:
        changes: `resource_changes` of the plan.
    """
    return sum(action in ("create", "update", "delete") for one in changes for action in one["change"]["actions"])


def summary(changes: Sequence[Mapping[str, Any]]) -> list[Line]:
    """What would be made, changed and deleted, by service.

    Args:
        changes: `resource_changes` of the plan.
    """
    names: dict[tuple[str, str, str], list[str]] = {}
    numbers = {"create": 0, "update": 0, "delete": 0}
    for one in changes:
        actions = tuple(one["change"]["actions"])
        if actions not in _SIGNS:
            continue
        for action in actions:
            numbers[action] += 1
        service, name = _called(one)
        if actions == ("update",):
            name += f" ({', '.join(_changed(one['change']))})"
        names.setdefault((*_SIGNS[actions], service), []).append(name)
    lines = [
        Line(f"  {sign} {service:<10}  ", ", ".join(found), colour) for (sign, colour, service), found in names.items()
    ]
    total = f"Plan: {numbers['create']} to add, {numbers['update']} to change, {numbers['delete']} to destroy."
    return [*lines, Line("", total, "bold")]


def _called(resource: Mapping[str, Any]) -> tuple[str, str]:
    """The service of a resource, and how it is called there."""
    kind, address = str(resource["type"]), str(resource["address"])
    if not kind.startswith("aws_"):
        return "terraform", address.removeprefix(f"{kind}.")
    service = next((one for one in _SERVICES if kind.startswith(f"aws_{one}_")), "network")
    if kind in _OF_BATCH:
        service = "batch"
    return service, address.removeprefix("aws_").removeprefix(f"{service}_")


def _changed(change: Mapping[str, Any]) -> list[str]:
    """What of a resource is going to be different; values only where they are plain and no secret."""
    before, after = change.get("before") or {}, change.get("after") or {}
    hidden = [change.get(name) or {} for name in ("before_sensitive", "after_sensitive", "after_unknown")]
    found = []
    for name in sorted({*before, *after}):
        if before.get(name) == after.get(name):
            continue
        pair = [before.get(name), after.get(name)]
        is_plain = all(isinstance(value, str | int | float | bool | None) for value in pair)
        if is_plain and not any(one is True or (isinstance(one, dict) and one.get(name)) for one in hidden):
            shown = [json.dumps(value) for value in pair]
            if max(map(len, shown)) <= _MOST_CHARS:
                found.append(f"{name} {shown[0]} → {shown[1]}")
                continue
        found.append(name)
    return found
