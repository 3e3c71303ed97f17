"""Covalent's own nodes in real dispatches: lists, dicts, subscripts and results of lattices are no jobs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import cloudpickle
import covalent as ct
import pytest
from support.covalent_client import Client, client_of

from covalent_awsbatch_plugin.local import LocalAWS
from covalent_awsbatch_plugin.local.covalent_server import CovalentServer

QUICK = {
    "container_image_uri": "team/jobs:1",
    "vcpu": 1,
    "memory": 0.5,
    "poll_freq": 1,
    "retry_attempts": 1,
    "time_limit": 700,
}


class Cloud:
    """An embedded AWS and the Covalent server whose section `[executors.awsbatch]` points at it."""

    def __init__(self, aws: LocalAWS, client: Client) -> None:
        self.aws, self.client = aws, client

    def jobs(self, dispatch_id: str) -> list[str]:
        """The names of the jobs of one dispatch."""
        return sorted(job.name for job in self.aws.jobs() if dispatch_id in job.name)


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """One embedded AWS and one server for all tests of this file, whose functions go along by value."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with LocalAWS(max_vcpus=8, stop_grace=2) as aws:
        config = {"awsbatch": {**aws.options, **QUICK}}
        with CovalentServer(environment=aws.environment, config=config) as server, client_of(server) as client:
            yield Cloud(aws, client)
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


class Point:
    def __init__(self, x: float) -> None:
        self.x = x


def f(x: Any) -> Any:
    return x + 1


def pair(x: Any) -> Any:
    return x, {"deep": [x, float("nan"), Point(x)]}


def total(numbers: Any) -> Any:
    assert type(numbers) is list
    return sum(numbers)


def area(settings: Any) -> Any:
    assert list(settings) == ["a", "b"]
    return settings["a"] * settings["b"]


def of_point(values: Any) -> Any:
    return type(values).__name__, values[2].x


def lattices() -> dict[Callable[[], Any], tuple[Any, int]]:
    """Each with its result and its jobs."""
    on = {name: ct.electron(function, executor="awsbatch") for name, function in globals().items() if name in NAMES}

    def of_results() -> Any:
        return on["total"]([on["f"](1), on["f"](2)])

    def of_numbers() -> Any:
        return on["total"]([1, 2])

    def unpacked() -> Any:
        first, _ = on["pair"](1)
        return on["f"](first)

    def subscripted() -> Any:
        return on["of_point"](on["pair"](7)[1]["deep"])

    def as_dict() -> Any:
        return on["area"]({"a": on["f"](1), "b": 3})

    def postprocessed() -> Any:
        return on["f"](1)

    def several_results() -> Any:
        return {"list": [on["f"](1), on["f"]("2".__len__())], "tuple": (3, "4")}

    def inner() -> Any:
        return on["f"](1), on["f"](2)

    def of_sublattice() -> Any:
        _, second = ct.electron(ct.lattice(inner, executor="awsbatch", workflow_executor="awsbatch"))()
        return on["total"]([second, 1])

    return {
        of_results: (5, 3),
        of_numbers: (3, 1),
        unpacked: (2, 2),
        subscripted: (("list", 7), 2),
        as_dict: (6, 2),
        postprocessed: (2, 1),
        several_results: ({"list": [2, 2], "tuple": [3, "4"]}, 2),
        of_sublattice: (4, 2),  # what makes the sublattice's graph, and the sum
    }


NAMES = ("f", "pair", "total", "area", "of_point")


def test_own_nodes_cost_no_job(cloud: Cloud) -> None:
    wanted = {}
    for function, (result, jobs) in lattices().items():
        lattice = ct.lattice(function, executor="awsbatch", workflow_executor="awsbatch")
        wanted[cloud.client.dispatch(lattice)] = function.__name__, result, jobs
    found = {
        dispatch_id: (name, cloud.client.completed(dispatch_id, 240).result, len(cloud.jobs(dispatch_id)))
        for dispatch_id, (name, _, _) in wanted.items()
    }
    assert found == wanted


def test_a_missing_item_fails_where_it_is_missing(cloud: Cloud) -> None:
    two = ct.electron(pair, executor="awsbatch")
    use = ct.electron(f, executor="awsbatch")

    @ct.lattice(executor="awsbatch", workflow_executor="awsbatch")
    def workflow() -> Any:
        return use(two(1)[2])

    dispatch_id = cloud.client.dispatch(workflow)
    result = cloud.client.wait(dispatch_id)
    nodes = {node["name"]: node for node in cloud.client.nodes(result)}
    assert str(nodes[":pair.__getitem__"]["status"]) == "FAILED"
    assert "IndexError" in nodes[":pair.__getitem__"]["stderr"]
    assert str(nodes["f"]["status"]) == "NEW_OBJECT"
    assert len(cloud.jobs(dispatch_id)) == 2


def test_packed_nodes_say_what_to_do(cloud: Cloud) -> None:
    use = ct.electron(total, executor="awsbatch")

    @ct.lattice(executor="local", workflow_executor="local")
    def workflow() -> Any:
        return use([1, 2])

    before = ct.get_config("sdk.task_packing")
    ct.set_config("sdk.task_packing", "true")
    try:
        dispatch_id = cloud.client.dispatch(workflow)
    finally:
        ct.set_config("sdk.task_packing", before)
    result = cloud.client.wait(dispatch_id)
    assert str(result.status) == "FAILED"
    for name in ("total", ":electron_list:"):
        assert 'ct.set_config("sdk.task_packing", "false")' in cloud.client.node(result, name)["error"]
    assert cloud.jobs(dispatch_id) == []
