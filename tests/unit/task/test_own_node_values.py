"""What is made for Covalent's own nodes is what its own functions return, and costs nothing whatever it is made of."""

from __future__ import annotations

import asyncio
import base64
import functools
import math
import pickle
import pickletools
from collections import OrderedDict, namedtuple
from pathlib import Path
from typing import Any

import cloudpickle
import covalent as ct
import numpy as np
import pytest
from covalent._workflow.transport import TransportableObject
from covalent.executor.utils.wrappers import wrapper_fn
from hypothesis import given
from hypothesis import strategies as st

from covalent_awsbatch_plugin.task.own_nodes import structure, values


class Point:
    """One of a user's own, by value."""

    def __init__(self, x: Any) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and self.x == other.x

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Point({self.x!r})"


Pair = namedtuple("Pair", "first second")  # noqa: PYI024


@ct.lattice
def workflow() -> Any:
    first, _ = ct.electron(lambda: (1, 2))()
    return ct.electron(lambda x: x)({"a": [first]})


workflow.build_graph()
FUNCTIONS = {node["name"]: node["function"] for node in workflow.transport_graph._graph.nodes.values()}
LIST, DICT = FUNCTIONS[":electron_list:"], FUNCTIONS[":electron_dict:"]
ITEM = next(function for name, function in FUNCTIONS.items() if name.endswith("[0]"))
RESULT = FUNCTIONS[":postprocess:reconstruct"]


def made(function: Any, *args: Any, **kwargs: Any) -> Any:
    """What is made of what is or becomes a `TransportableObject`."""
    arguments = [TransportableObject.make_transportable(one) for one in args]
    return asyncio.run(values.made(functools.partial(wrapper_fn, function, [], []), arguments, kwargs))


def returned(function: Any, *args: Any) -> Any:
    """What a job would return."""
    return wrapper_fn(function, [], [], *[TransportableObject.make_transportable(one) for one in args])


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, where NaN is NaN."""
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return bool(one.dtype == other.dtype and np.array_equal(one, other))
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same(list(one), list(other)) and same(list(one.values()), list(other.values()))
    return bool(same(one.x, other.x) if isinstance(one, Point) else one == other)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
KEYS = st.text(max_size=9) | st.integers()
SHARED = [Point([1]), [Point(2)], np.arange(3), Pair(1, 2), lambda x: x, OrderedDict(a=1), {1, 2}, Point]
NASTY = SCALARS | st.sampled_from(SHARED[:4] + SHARED[5:])
NESTED = st.recursive(
    NASTY,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.lists(inner, max_size=5).map(tuple),
        st.dictionaries(KEYS, inner, max_size=5),
        st.builds(Point, inner),
        st.lists(inner, min_size=1, max_size=2).map(lambda one: one * 3),  # the same object three times
    ),
    max_leaves=15,
)


@given(st.lists(NESTED, max_size=5))
def test_a_list_is_the_list(items: list[Any]) -> None:
    here = made(LIST, *items)
    assert same(here.get_deserialized(), items)
    assert here.header["attrs"] == returned(LIST, *items).header["attrs"]


@given(st.dictionaries(KEYS, NESTED, max_size=5))
def test_a_dict_is_the_dict(items: dict[Any, Any]) -> None:
    here = made(DICT, made(LIST, *items), made(LIST, *items.values()))
    assert same(here.get_deserialized(), items)
    assert same(made(DICT, list(items), list(items.values())).get_deserialized(), items)  # of lists that jobs made
    assert here.header["attrs"] == returned(DICT, list(items), list(items.values())).header["attrs"]


@given(
    st.lists(NESTED, min_size=1, max_size=5) | st.lists(NESTED, min_size=1, max_size=5).map(tuple),
    st.integers(3, pickle.HIGHEST_PROTOCOL),
)
def test_an_item_of_a_list_or_a_tuple_is_the_item(items: Any, protocol: int) -> None:
    parent = TransportableObject(items)
    parent._object = base64.b64encode(cloudpickle.dumps(items, protocol)).decode()
    for place in range(-len(items), len(items)):
        assert same(made(ITEM, parent, place).get_deserialized(), items[place])


@given(st.dictionaries(KEYS, NESTED, min_size=1, max_size=5))
def test_an_item_of_a_dict_is_the_item(items: dict[Any, Any]) -> None:
    for key, value in items.items():
        assert same(made(ITEM, items, key).get_deserialized(), value)
        assert same(made(ITEM, made(DICT, list(items), list(items.values())), key).get_deserialized(), value)


@given(SCALARS)
def test_what_covalent_keeps_beside_a_number_or_a_text_is_the_same(value: Any) -> None:
    for function, args in ((ITEM, ((value, 1), 0)), (LIST, (value, 2)), (DICT, (["a"], [value]))):
        here, job = made(function, *args), returned(function, *args)
        assert (here.header, here.object_string) == (job.header, job.object_string)


def test_a_value_that_is_part_of_itself() -> None:
    whole: dict[str, Any] = {"a": [1]}
    whole["whole"] = whole
    whole["list"] = [whole, whole["a"]]
    found = made(ITEM, whole, "list").get_deserialized()
    assert found[0]["list"] is found
    assert found[0]["whole"] is found[0]
    assert found[1] is found[0]["a"]
    nothing: Any = ([],)
    nothing[0].append(nothing)
    assert same(made(ITEM, nothing, 0), None), "a tuple in itself, which pickle makes twice, is left to a job"


def test_classes_and_functions_by_value() -> None:
    point, function, again = (made(ITEM, (Point, lambda x: Point(x).x + 1, Point(3)), place) for place in range(3))
    assert point.get_deserialized()(1).x == 1
    assert function.get_deserialized()(1) == 2
    assert again.get_deserialized().x == 3


def test_an_item_has_only_what_belongs_to_it() -> None:
    """So whoever uses it needs nothing else, in size as in packages."""
    whole = {"array": np.zeros(10_000), "number": 3, "same": np.ones(1)}
    number = made(ITEM, whole, "number")
    assert len(number.get_serialized()) < 20
    opcodes = pickletools.genops(base64.b64decode(number.get_serialized()))
    assert [opcode.name for opcode, *_ in opcodes] == ["PROTO", "BININT1", "STOP"]
    assert same(made(ITEM, whole, "same").get_deserialized(), np.ones(1))
    assert len(made(ITEM, whole, "same").get_serialized()) < 1000


@pytest.mark.parametrize(
    ("parent", "key"),
    [
        *[
            ((1, 2), 2),
            ([], -1),
            ({"a": 1}, "b"),
            ((1, 2), True),
            ((1, 2), slice(1)),
            ({(1, 2): 3}, (1, 2)),
            ([1], "0"),
        ],
        *[("text", 0), (Pair(1, 2), 0), (OrderedDict(a=1), "a"), (np.arange(3), 0), (Point(1), 0), (None, 0)],
    ],
)
def test_what_is_not_certain_takes_a_job(parent: Any, key: Any) -> None:
    assert made(ITEM, parent, key) is None


def test_names_of_python_2_are_left_to_a_job() -> None:
    for protocol in range(3):
        old = TransportableObject(None)
        old._object = base64.b64encode(pickle.dumps((b"a", 1), protocol)).decode()
        assert made(ITEM, old, 0) is None
        assert made(LIST, old).get_deserialized() == [(b"a", 1)]


def test_keys_that_may_not_be_keys_take_a_job() -> None:
    assert made(DICT, [[1]], [2]) is None
    assert made(DICT, [Pair(1, 2)], [2]) is None
    assert made(DICT, [1, 2], [2]) is None


def test_what_is_too_large_takes_a_job() -> None:
    half = bytes(values.LARGEST_CHARS // 4 * 3 // 2 - 100)
    assert len(made(LIST, half, half).get_deserialized()) == 2
    assert made(LIST, half, half + bytes(200)) is None
    assert made(ITEM, (half, half + bytes(300)), 1) is None
    assert made(ITEM, ([1], [2] * structure.MOST_INSTRUCTIONS), 0) is None


def test_the_result_of_a_lattice_is_what_it_is_given() -> None:
    parent = TransportableObject(SHARED)
    assert made(RESULT, parent) is parent
    assert made(RESULT, parent, **{"node:3": parent}) is parent
    assert made(RESULT, parent, other=parent) is None


class Planted:
    """An object whose loading leaves a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self.file,)


def test_nothing_is_loaded_where_it_is_made(tmp_path: Path) -> None:
    planted = Planted(tmp_path / "loaded")
    for function, args in (
        (LIST, (planted, planted)),
        (DICT, (["a"], [planted])),
        (DICT, ([planted], [1])),
        (ITEM, ((planted, 1), 0)),
        (ITEM, ((planted, 1), 1)),
        (ITEM, ([1], planted)),
        (RESULT, (planted,)),
    ):
        made(function, *args)
    assert not planted.file.exists()
    made(ITEM, (planted, 1), 0).get_deserialized()
    assert planted.file.exists(), "whoever uses it loads it, as before"


HOSTILE = {
    "nothing": b"",
    "no pickle": b"\xff" * 100,
    "a mark": b"((((.",
    "deep": b"\x80\x04" + b"]" * 10_000 + b"a" * 9_999 + b".",
    "twice as much each time": b"\x80\x04]" + b"".join(b"\x94h%c]h%ch%ce" % (n, n, n) for n in range(90)) + b".",
    "bytes that are not there": b"\x80\x04\x8e" + (1 << 62).to_bytes(8, "little"),
    "a number that is not there": b"\x80\x04\x8b\xff\xff\xff\x7f",
    "digits": b"\x80\x04L" + b"9" * 100_000 + b"L\n\x85.",
    "outside": b"\x80\x04K\x01Q\x85.",
    "popped": b"\x80\x04000.",
    "kept nowhere": b"\x80\x04h\x05\x85.",
    "kept at the end of numbers": b"\x80\x04]r\xff\xff\xff\xff\x85.",
    "in itself": b"\x80\x04)\x94h\x00\x85q\x00h\x00\x85.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_cost_nothing(name: str) -> None:
    parent = TransportableObject(0)
    parent._object = base64.b64encode(HOSTILE[name]).decode()
    for function, args in ((ITEM, (parent, 0)), (ITEM, ([1], parent)), (DICT, (parent, parent)), (LIST, (parent,))):
        here = made(function, *args)
        assert here is None or len(here.get_serialized()) < 2 * len(parent.get_serialized()) + 100


@given(st.binary(max_size=40), st.sampled_from([LIST, DICT, ITEM]))
def test_any_bytes_are_a_result_or_a_job(content: bytes, function: Any) -> None:
    parent = TransportableObject(0)
    parent._object = base64.b64encode(b"\x80\x04" + content + b"\x85.").decode()
    for args in ((parent, 0), (parent, parent), (["a"], parent)):
        assert isinstance(made(function, *args), (TransportableObject, type(None)))
