"""A bare result that refers to code is refused, however it is written, and nothing of it runs.

The same about envelopes, which no unpickler of Python's reads, stands in `tests/properties.rs`.
"""

from __future__ import annotations

import functools
import io
import operator
import os
import pickle
from collections.abc import Callable
from typing import Any

import cloudpickle
import pytest
from covalent._workflow.transport import TransportableObject
from hypothesis import given, settings
from hypothesis import strategies as st

from covalent_awsbatch_plugin.errors import ResultError
from covalent_awsbatch_plugin.task import bare

ran: list[Any] = []
"""What ran although it must not: the sentinel of everything below."""


def sentinel(*arguments: Any) -> None:
    ran.append(arguments)


class Planted:
    """An object whose unpickling is a call."""

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


class File(io.BytesIO):
    @property
    def size(self) -> int:
        return len(self.getvalue())


def load(data: bytes) -> Any:
    return bare.load(File(data))


pickle.dumps(TransportableObject(None))  # leaves a note of its own on the class
BEFORE = dict(vars(TransportableObject))


def refused(data: bytes) -> None:
    ran.clear()
    with pytest.raises((bare.RefusedError, ValueError)):
        load(data)
    assert ran == []
    assert dict(vars(TransportableObject)) == BEFORE


CALLABLES = st.sampled_from(
    [sentinel, os.system, eval, exec, operator.methodcaller, functools.partial, __import__, getattr]
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4) | st.tuples(inner, inner),
    max_leaves=8,
)
PROTOCOLS = st.integers(0, pickle.HIGHEST_PROTOCOL)


@given(function=CALLABLES, arguments=PLAIN, protocol=PROTOCOLS, around=PLAIN)
def test_an_object_that_calls_is_refused(function: Any, arguments: Any, protocol: int, around: Any) -> None:
    planted = Planted(function, (arguments,))
    for value in (planted, [around, planted], {"status": "succeeded", "output": planted}):
        refused(pickle.dumps(value, protocol))


@given(
    value=st.builds(functools.partial, CALLABLES, PLAIN)
    | CALLABLES
    | st.sampled_from([Planted, int, type, object, io.StringIO, pickle.Unpickler, ResultError])
    | st.sampled_from([3 + 4j, range(3), {1}.__class__, slice(1), ValueError("x"), os.environ]),
    protocol=PROTOCOLS,
)
def test_classes_functions_and_objects_are_refused(value: Any, protocol: int) -> None:
    refused(cloudpickle.dumps(value, protocol))


LINE = st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), min_size=1, max_size=12).map(str.encode)


def _short(data: bytes) -> bytes:
    return b"\x8c" + bytes([len(data)]) + data


# How an instruction names something: by lines, by two strings on the stack, by two strings from the memo.
REFERENCES = st.one_of(
    st.builds(lambda module, name: b"c" + module + b"\n" + name + b"\n", LINE, LINE),
    st.builds(lambda module, name: b"(i" + module + b"\n" + name + b"\n", LINE, LINE),
    st.builds(lambda module, name: _short(module) + _short(name) + b"\x93", LINE, LINE),
    st.builds(lambda module, name: _short(name) + b"q\x01" + _short(module) + b"h\x01\x93", LINE, LINE),
    st.just(b"ccovalent\nTransportableObject.deserialize\n"),
    st.just(_short(b"covalent") + _short(b"TransportableObject.__init__.__globals__") + b"\x93"),
    st.builds(lambda name: b"P" + name + b"\n", LINE),
    st.just(b"NQ"),
    st.sampled_from([b"\x82\x01", b"\x83\x01\x00", b"\x84\x01\x00\x00\x00"]),
)
CALLS = st.sampled_from([b"", b")R", b"(tR", b")\x81", b")}\x92", b"(o", b"}b"])


@settings(max_examples=300)
@given(before=PLAIN, reference=REFERENCES, call=CALLS, protocol=st.sampled_from([0, 2, 4, 5]))
def test_instructions_by_hand_are_refused(before: Any, reference: bytes, call: bytes, protocol: int) -> None:
    start = b"" if protocol == 0 else b"\x80" + bytes([protocol])
    # A plain value first; without its own beginning, frame and end.
    plain = pickle.dumps(before, 3)[2:-1]
    refused(start + plain + reference + call + b".")


G = b"ccovalent._workflow.transport\nTransportableObject\n"


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04" + G + b"N}\x8c\x0bdeserialize" + G + b"s\x86b0K\x07.",  # replaces a method of the class
        b"\x80\x04" + G + b"}\x8c\x0bdeserialize\x8c\x01xsb.",
        b"\x80\x04" + G + b"]" + b"\x94]h\x00ah\x00a" * 30 + b"\x85R.",  # runs the constructor over nested lists
        b"\x80\x04" + G + b")R.",
        b"\x80\x04" + G + b".",
        b"\x80\x04" + G + b")\x81.",  # no attribute at all
        b"\x80\x04" + G + b")\x81}b.",
        b"\x80\x04" + G + b")\x81}\x8c\x07_objectK\x01sb.",
        b"\x80\x04" + G + b")\x81}\x8c\x07_object\x8c\x00sb.",
        b"\x80\x04" + G + b")\x81}\x8c\x07_object\x8c\x02gA}\x8c\x07_headerNsb.",
        b"\x80\x04" + G + b")\x81}(\x8c\x07_object\x8c\x02gA\x8c\x07_header}\x8c\x05attrs}\x8c\x01a" + G + b"sssub.",
        b"\x80\x04" + G + b")\x81}(\x8c\x07_object\x8c\x02gA\x8c\x07_header(ub.",
        b"\x80\x04K\x07.",
        b"\x80\x04" + b"(" * 2000 + b".",
        b"\x80\x04\x8b\x00\x00\x40\x00" + b"\x09" * 0x400000 + b".",  # a number of four million bytes
        b"\x80\x04\x8d" + (2**50).to_bytes(8, "little") + b"abc.",
        b"c" + b"x" * 1_000_000,
    ],
)
def test_what_covalent_does_not_write_changes_nothing(data: bytes) -> None:
    refused(data)


@given(
    value=PLAIN,
    protocol=st.integers(2, pickle.HIGHEST_PROTOCOL),
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4),
)
def test_a_result_is_made_here_or_refused(value: Any, protocol: int, changes: list[tuple[int, int]]) -> None:
    """Also one that was damaged: what comes of it can always be stored by Covalent."""
    result = TransportableObject(value)
    data = bytearray(pickle.dumps(result, protocol))
    if not changes:
        assert load(bytes(data)) == result
    for place, byte in changes:
        data[place % len(data)] = byte
    try:
        made = load(bytes(data))
    except (bare.RefusedError, ValueError):
        return
    assert type(made) is TransportableObject
    assert TransportableObject.deserialize(made.serialize()) == made


@settings(max_examples=500)
@given(st.binary(max_size=200))
def test_any_bytes_run_nothing(data: bytes) -> None:
    refused(data)
