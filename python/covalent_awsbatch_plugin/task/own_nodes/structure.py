"""Takes a pickled list, tuple or dict apart, and puts such pickles together, without loading anything.

A pickle is a program for a stack machine. Here it is followed without being run: each value is the instructions that
make it, and the values that those need. So an item can be written as a pickle of its own, with all that it refers to.
"""

from __future__ import annotations

import pickle
import pickletools
import struct
from collections.abc import Iterable, Iterator
from typing import Any

MOST_INSTRUCTIONS = 20_000
"""Instructions of a pickle that is taken apart: a list of so many numbers. It takes less than a tenth of a second."""

UNKNOWN = object()
"""Stands for a value that only loading would tell."""

_OLDEST_PROTOCOL = 3  # whose names mean the same in a pickle of protocol 4
_COPIED_BYTES = 1024  # of an instruction that a view would take more memory than
_KEEP, _MARK = object(), object()  # keep the value for later use; the instruction MARK
_PUTS = ("MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT")
_GETS = ("BINGET", "LONG_BINGET", "GET")
_CHANGES = ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD")
_MAKES = {
    **dict.fromkeys(("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"), "tuple"),
    **dict.fromkeys(("EMPTY_LIST", "LIST"), "list"),
    **dict.fromkeys(("EMPTY_DICT", "DICT"), "dict"),
}
_LITERALS = frozenset(
    ("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8")
) | {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
# They refer to something outside of the pickle, or to what is on the stack in a way that no pickler needs.
_UNCLEAR = frozenset(
    ("DUP", "POP_MARK", "PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER")
)


class UnclearError(ValueError):
    """A pickle does not tell what is asked of it."""


class Value:
    """A value in a pickle.

    Args:
        pieces: What makes it: bytes of instructions, and values.
        kind: `list`, `tuple` or `dict`, if it is exactly that.
        items: What such a value has in it; keys and values of a dict in turn.
        scalar: The number, text, bytes, bool or None that it is; else `UNKNOWN`.
    """

    __slots__ = ("is_kept", "items", "kind", "pieces", "scalar")

    def __init__(
        self, pieces: Iterable[Any], kind: str = "", items: Iterable[Value] = (), scalar: Any = UNKNOWN
    ) -> None:
        self.pieces, self.kind, self.items, self.scalar = list(pieces), kind, list(items), scalar
        self.is_kept = False


def read(pickled: bytes, most: int = MOST_INSTRUCTIONS) -> Value:
    """The value that a pickle would be.

    Args:
        pickled: The pickle.
        most: Instructions that it may have.

    Raises:
        UnclearError: It has too many instructions, or such as no pickler writes.
    """
    machine = _Machine()
    try:
        for count, (name, before, argument, raw) in enumerate(_instructions(pickled)):
            if count > most:
                raise UnclearError("it has too many instructions")
            if not count and not (name == "PROTO" and argument >= _OLDEST_PROTOCOL):
                raise UnclearError("its names are those of Python 2")
            if name == "STOP":
                break
            machine.step(name, before, argument, raw)
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, struct.error) as error:
        raise UnclearError(f"it cannot be taken apart: {error}") from error
    return machine.result()


def written(value: Value) -> bytes:
    """A pickle of a value alone.

    Raises:
        UnclearError: It is part of itself in a way that cannot be taken apart.
    """
    parts: list[Any] = [pickle.PROTO + b"\x04"]
    numbers: dict[Value, int] = {}
    begun: set[Value] = set()
    open_: list[tuple[Value | None, Iterator[Any]]] = [(None, iter((value,)))]
    while open_:
        owner, pieces = open_[-1]
        for piece in pieces:
            if piece is _KEEP:
                assert owner is not None
                numbers[owner] = len(numbers)
                parts.append(pickle.LONG_BINPUT + numbers[owner].to_bytes(4, "little"))
            elif not isinstance(piece, Value):
                parts.append(piece)
            elif piece in numbers:
                parts.append(pickle.LONG_BINGET + numbers[piece].to_bytes(4, "little"))
            elif piece in begun:
                raise UnclearError("a value is part of itself")
            else:
                begun.add(piece)
                open_.append((piece, iter(piece.pieces)))
                break
        else:
            open_.pop()
    return b"".join([*parts, pickle.STOP])


def loaded(pickled: bytes) -> Value:
    """The value that some bytes become when they are unpickled together with what this value is written into."""
    length = len(pickled)
    header = pickle.BINBYTES + length.to_bytes(4, "little")
    if length >= 1 << 32:
        header = pickle.BINBYTES8 + length.to_bytes(8, "little")
    return Value([b"cpickle\nloads\n", header, pickled, pickle.TUPLE1 + pickle.REDUCE])


def list_of(items: list[Value]) -> Value:
    """A list of values."""
    return Value([pickle.EMPTY_LIST + pickle.MARK, *items, pickle.APPENDS], "list", items)


def dict_of(keys: list[Value], values: list[Value]) -> Value:
    """A dict of as many keys as values."""
    items = [one for pair in zip(keys, values, strict=True) for one in pair]
    return Value([pickle.EMPTY_DICT + pickle.MARK, *items, pickle.SETITEMS], "dict", items)


def _instructions(pickled: bytes) -> Iterator[tuple[str, list[Any], Any, bytes | memoryview]]:
    """Name, what is taken from the stack, argument and bytes of each instruction."""
    whole = memoryview(pickled)
    before: tuple[Any, Any, int] | None = None
    for opcode, argument, position in pickletools.genops(pickled):
        assert position is not None
        if before is not None:
            start = before[2]
            raw = pickled[start:position] if position - start < _COPIED_BYTES else whole[start:position]
            yield before[0].name, before[0].stack_before, before[1], raw
        before = opcode, argument, position
    if before is not None:
        yield before[0].name, before[0].stack_before, before[1], b""


class _Machine:
    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._kept: dict[int, Value] = {}

    def step(self, name: str, before: list[Any], argument: Any, raw: bytes | memoryview) -> None:
        if name in ("PROTO", "FRAME"):
            return
        if name in _UNCLEAR:
            raise UnclearError(f"it has the instruction {name}")
        if name in _PUTS:
            self._keep(len(self._kept) if name == "MEMOIZE" else argument)
        elif name in _GETS:
            self._stack.append(self._kept[argument])
        elif name == "MARK":
            self._stack.append(_MARK)
        elif name == "POP":
            gone = self._pop()
            below = self._top()  # which a call may have changed whose answer nobody needs
            below.pieces += [gone, raw]
            below.kind, below.scalar = "", UNKNOWN
        else:
            self._apply(name, before, argument, raw)

    def result(self) -> Value:
        if len(self._stack) != 1:
            raise UnclearError("it is no pickle of one value")
        return self._top()

    def _apply(self, name: str, before: list[Any], argument: Any, raw: bytes | memoryview) -> None:
        fixed, items = self._take(before)
        marked = [pickle.MARK, *items] if pickletools.markobject in before else items
        if name in _CHANGES:
            target, rest = fixed[0], [*fixed[1:], *items]
            target.pieces += [*fixed[1:], *marked, raw]
            if (target.kind, name[:3]) in (("list", "APP"), ("dict", "SET")):
                target.items += rest
            else:
                target.kind, target.scalar = "", UNKNOWN
            self._stack.append(target)
            return
        scalar = argument if name in _LITERALS else _CONSTANTS.get(name, UNKNOWN)
        taken = [*fixed, *items]
        self._stack.append(Value([*fixed, *marked, raw], _MAKES.get(name, ""), taken, scalar))

    def _take(self, before: list[Any]) -> tuple[list[Value], list[Value]]:
        """What an instruction takes from the stack: below the mark, and above it."""
        items: list[Value] = []
        if pickletools.markobject in before:
            while (one := self._stack.pop()) is not _MARK:
                items.append(one)
            before = before[: before.index(pickletools.markobject)]
        fixed = [self._pop() for _ in before]
        return fixed[::-1], items[::-1]

    def _keep(self, number: int) -> None:
        top = self._top()
        self._kept[number] = top
        if not top.is_kept:
            top.pieces.append(_KEEP)
            top.is_kept = True

    def _top(self) -> Value:
        if not self._stack or not isinstance(self._stack[-1], Value):
            raise UnclearError("it is no pickle")
        return self._stack[-1]

    def _pop(self) -> Value:
        top = self._top()
        self._stack.pop()
        return top
