"""What AWS Batch is told of a job of several nodes: each of them runs the container that a job of one would have.

https://docs.aws.amazon.com/batch/latest/userguide/multi-node-parallel-jobs.html
"""

from __future__ import annotations

from typing import Any

_ALL = "0:"
"""All nodes, however many: SubmitJob may say another number of them only where the range has no end."""

_PLACEHOLDER = 2  # nodes in the definition, so that one serves every number

_OF_NODES = ("containerProperties", "ecsProperties", "consumableResourceProperties")
_NAMES = {"containerProperties": "container"}  # where a range of nodes has another name for it


def definition(single: dict[str, Any]) -> dict[str, Any]:
    """The definition of a job of one container as one of several nodes.

    Args:
        single: Fields of RegisterJobDefinition.
    """
    nodes = {_NAMES.get(name, name): single[name] for name in _OF_NODES if name in single}
    properties = {
        "numNodes": _PLACEHOLDER,
        "mainNode": 0,
        "nodeRangeProperties": [{"targetNodes": _ALL, **nodes}],
    }
    rest = {name: value for name, value in single.items() if name not in _OF_NODES}
    return {**rest, "type": "multinode", "nodeProperties": properties}


def overrides(single: dict[str, Any], nodes: int) -> dict[str, Any]:
    """What SubmitJob overrides, for all nodes.

    Args:
        single: `containerOverrides` or `ecsPropertiesOverride` of a job of one container, by that name.
        nodes: How many there are.
    """
    return {"nodeOverrides": {"numNodes": nodes, "nodePropertyOverrides": [{"targetNodes": _ALL, **single}]}}
