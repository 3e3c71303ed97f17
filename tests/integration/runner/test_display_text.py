"""The text that goes with a result to Covalent's server."""

from __future__ import annotations

from typing import Any

import pytest
from covalent._workflow.electron import _build_sublattice_graph
from covalent._workflow.transportable_object import TransportableObject
from support.bench import Bench


def returned(bench: Bench) -> TransportableObject:
    assert bench.run()[0] == 0
    return TransportableObject.deserialize(bench.envelope()["output"])


@pytest.mark.parametrize("by_covalent", [True, False])
def test_a_long_text_is_cut_and_the_value_is_whole(bench: Bench, by_covalent: bool) -> None:
    def sevenths(count: int) -> list[float]:
        return [number / 7 for number in range(count)]

    (bench.put_electron if by_covalent else bench.put)(sevenths, 10_000)
    result, value = returned(bench), sevenths(10_000)
    assert result.get_deserialized() == value
    text = str(value)
    assert result.object_string == f"{text[:4096]}… ({len(text):,} characters in all)"


@pytest.mark.parametrize("length", [0, 4096])
def test_a_text_that_can_be_read_is_left_alone(bench: Bench, length: int) -> None:
    bench.put_electron(str, "x" * length)
    assert returned(bench).object_string == "x" * length


def test_the_graph_of_a_sublattice_is_left_alone(bench: Bench) -> None:
    """Covalent reads it from the text. It has the name of the function that Covalent's server sends."""

    def graph(length: int) -> Any:
        return "x" * length

    graph.__name__ = _build_sublattice_graph.__name__
    bench.put_electron(graph, 10_000)
    assert returned(bench).object_string == "x" * 10_000
