"""The options of a job that runs on several machines at once."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, ValidationInfo

from . import limits
from .container_limits import MachinesOnly
from .definition import Variable, option
from .pod_options import PodOptions


def _nodes(nodes: int, info: ValidationInfo) -> int:
    if nodes == 1:
        return nodes
    if (platform := info.data.get("platform")) not in ("", "EC2", None):
        raise ValueError(f"jobs of several nodes run on EC2 alone, and platform is {platform}")
    if info.data.get("job_definition"):
        raise ValueError("job_definition is one of a single container")
    # What each attempt of a node leaves is found by the number of the attempt, which a job of another size starts anew.
    if (info.data.get("retry_memory_factor") or 1) > 1 or info.data.get("retry_queues"):
        raise ValueError("retry_memory_factor and retry_queues are for jobs of one container")
    return nodes


def _efa(efa: bool, info: ValidationInfo) -> bool:
    if efa and info.data.get("job_definition"):
        raise ValueError("it belongs into the job_definition")
    return efa


class NodeOptions(PodOptions):
    """They come last: what they exclude stands before them."""

    nodes: Annotated[limits.Whole, AfterValidator(_nodes)] = option(
        1,
        ge=1,
        le=1000,
        rule="must be a whole number of machines that run the function at the same time, 1 to 1,000; with more than "
        "one on EC2 alone, and without job_definition, retry_memory_factor and retry_queues",
        doc="Machines of a queue of on-demand instances that run the function at the same time, 1 to 1,000, each as "
        "large as the other options say (`from covalent_awsbatch_plugin import nodes`). The job is placed when there "
        "is room for all of them, and ends when node 0 has ended or another one has failed.",
        command_line=True,
    )
    node_results: Literal["main", "all"] = option(
        "main",
        rule="must be 'main' (the electron's result is what node 0 returns) or 'all' (a list of what each node "
        "returns)",
        doc="Which of several nodes make the electron's result: `main` for node 0, whose return ends the job; `all` "
        "for a list of what each of them returns, for which node 0 waits.",
    )
    efa: Annotated[limits.Flag, MachinesOnly, AfterValidator(_efa)] = option(
        False,
        rule="must be True or False: whether the container has the Elastic Fabric Adapter of its machine",
        doc="Whether the container has its machine's Elastic Fabric Adapter, and may lock as much memory as that "
        "needs. The machine has to have one, with its driver. Not on Fargate.",
        deploy=Variable(
            "Create machines with an Elastic Fabric Adapter and its driver, and give it to the jobs; with multi_node, "
            "and with instance_types that have one."
        ),
    )
