"""Jobs of several nodes as they are asked for: one container that runs on each node.

https://docs.aws.amazon.com/batch/latest/userguide/multi-node-parallel-jobs.html
"""

from __future__ import annotations

from typing import Any

from moto.batch.exceptions import ClientException

from . import ecs_task

_MOST_NODES = 1000


def check_definition(asked: dict[str, Any]) -> None:
    """Refuses a definition whose kind and properties do not go together, or whose nodes cannot be told apart.

    Args:
        asked: The fields of RegisterJobDefinition.

    Raises:
        ClientException: One of these.
    """
    properties = asked.get("nodeProperties")
    if (asked.get("type") == "multinode") != bool(properties):
        raise ClientException("nodeProperties must be specified for the type multinode, and for no other type")
    if not properties:
        return
    if wrong := [name for name in ("containerProperties", "ecsProperties", "eksProperties") if name in asked]:
        raise ClientException(f"{wrong[0]} must not be specified together with nodeProperties")
    if "FARGATE" in (asked.get("platformCapabilities") or []):
        raise ClientException("Multi-node parallel jobs are not supported on Fargate")
    first, last = _bounds(only_range(properties)["targetNodes"])
    if first != 0 or last not in (None, properties["numNodes"] - 1):
        raise ClientException("nodeRangeProperties must account for all nodes, 0 to numNodes - 1")
    _check_count(properties, properties["numNodes"])


def only_range(properties: dict[str, Any]) -> dict[str, Any]:
    """The range of nodes in `nodeProperties`.

    Raises:
        ClientException: There are several, which are no concern of the embedded AWS, or none.
    """
    ranges = properties.get("nodeRangeProperties") or []
    if len(ranges) != 1:
        raise ClientException("The embedded AWS runs nodes of one range only")
    return dict(ranges[0])


def as_container(properties: dict[str, Any]) -> dict[str, Any]:
    """What each node runs, as `containerProperties`.

    Raises:
        ClientException: It has none, or several.
    """
    nodes = only_range(properties)
    if "ecsProperties" in nodes:
        return ecs_task.as_container(nodes["ecsProperties"])
    if "container" not in nodes:
        raise ClientException("nodeRangeProperties must have a container or ecsProperties")
    return dict(nodes["container"])


def count(properties: dict[str, Any], overrides: dict[str, Any]) -> int:
    """How many nodes a job has.

    Args:
        properties: `nodeProperties` of the definition.
        overrides: `nodeOverrides` of SubmitJob; empty if there are none.

    Raises:
        ClientException: The definition does not allow so many.
    """
    asked = overrides.get("numNodes")
    if asked is None:
        return int(properties["numNodes"])
    if _bounds(only_range(properties)["targetNodes"])[1] is not None:
        raise ClientException("numNodes can be overridden only where the upper boundary of a node range is open")
    _check_count(properties, asked)
    return int(asked)


def only_override(properties: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """What SubmitJob overrides of the range of nodes; empty if nothing.

    Args:
        properties: As for `count`.
        overrides: As for `count`.

    Raises:
        ClientException: It is for other nodes than the definition's.
    """
    found = overrides.get("nodePropertyOverrides") or []
    nodes = only_range(properties)["targetNodes"]
    if wrong := [one["targetNodes"] for one in found if one["targetNodes"] != nodes]:
        raise ClientException(f"NodeOverride targets should match job definition. Non matching targets - {wrong[0]}")
    return dict(found[0]) if found else {}


def _bounds(target: str) -> tuple[int, int | None]:
    first, _, last = target.partition(":")
    try:
        return int(first or 0), int(last) if last else None if ":" in target else int(first)
    except ValueError:
        raise ClientException(f"targetNodes must be a range such as 0:3 or 0:, not {target}") from None


def _check_count(properties: dict[str, Any], number: int) -> None:
    if not properties["mainNode"] < number <= _MOST_NODES:
        raise ClientException(f"numNodes must be more than mainNode and at most {_MOST_NODES}, not {number}")
