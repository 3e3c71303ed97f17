"""The bare pickle that the public image's program leaves: one `TransportableObject`, read without unpickling it.

Only the instructions that Python's pickler needs for such an object are supported. With an unpickler, everybody who can
write to the bucket could call functions, replace attributes of classes, or exhaust the memory.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, NoReturn

from covalent_awsbatch_plugin.agreement.unpickling import LARGE_TEXT, SizedFile, read_text
from covalent_awsbatch_plugin.printable import one_line

from . import transportable

# The class as pickles name it: by its `__module__`, and by the modules that have defined it.
_CLASSES = frozenset(
    (module, "TransportableObject")
    for module in ("covalent", "covalent._workflow.transport", "covalent._workflow.transportable_object")
)
_MAX_INSTRUCTIONS = 1000  # an object has about forty
_MAX_REPEATED_CHARS = 64 * 1024  # characters in all of texts that are used a second time: names of attributes
_MAX_NAME_BYTES = 200  # bytes of a module's or a class's name

_MARK, _CLASS, _EMPTY, _NEW = object(), object(), object(), object()

_CONSTANTS: dict[bytes, Any] = {
    pickle.MARK: _MARK,
    pickle.EMPTY_TUPLE: _EMPTY,
    pickle.NONE: None,
    pickle.NEWTRUE: True,
    pickle.NEWFALSE: False,
}
# Bytes of the length that precedes a text, and of the number that names something kept.
_TEXTS = {pickle.SHORT_BINUNICODE: 1, pickle.BINUNICODE: 4, pickle.BINUNICODE8: 8}
_MEMO_PUT = {pickle.MEMOIZE: 0, pickle.BINPUT: 1, pickle.LONG_BINPUT: 4}
_MEMO_GET = {pickle.BINGET: 1, pickle.LONG_BINGET: 4}


class RefusedError(Exception):
    """A pickle refers to something else than Covalent's `TransportableObject`.

    Args:
        what: Its name, such as `posix.system`.
    """

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class _Built(NamedTuple):
    state: dict[Any, Any]


def load(file: SizedFile) -> Any:
    """Read a bare result.

    Args:
        file: Where it is.

    Returns:
        A `TransportableObject`, made here.

    Raises:
        RefusedError: The pickle refers to anything but that class.
        ValueError: It is something else, or breaks off.
    """
    reader = _Reader(file)
    for _ in range(_MAX_INSTRUCTIONS):
        opcode = reader.take(1)
        if opcode == pickle.STOP:
            return reader.result()
        reader.step(opcode)
    raise ValueError("it has more instructions than a TransportableObject needs")


class _Reader:
    def __init__(self, file: SizedFile) -> None:
        self._file = file
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._repeated = 0

    def take(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) < size:
            raise ValueError("it breaks off")
        return data

    def step(self, opcode: bytes) -> None:
        if opcode == pickle.PROTO:
            if (protocol := self._number(1)) > pickle.HIGHEST_PROTOCOL:
                raise ValueError(f"unsupported pickle protocol: {protocol}")
        elif opcode == pickle.FRAME:
            self.take(8)
        elif opcode in _CONSTANTS:
            self._stack.append(_CONSTANTS[opcode])
        elif opcode in _TEXTS:
            self._stack.append(self._text(self._number(_TEXTS[opcode])))
        elif opcode in _MEMO_PUT:
            index = self._number(_MEMO_PUT[opcode]) if _MEMO_PUT[opcode] else len(self._memo)
            self._memo[index] = self._top()
        elif opcode in _MEMO_GET:
            self._get(self._number(_MEMO_GET[opcode]))
        elif opcode in self._HANDLERS:
            self._HANDLERS[opcode](self)
        elif opcode in (pickle.PERSID, pickle.BINPERSID, pickle.EXT1, pickle.EXT2, pickle.EXT4):
            raise RefusedError("an object outside of the pickle")
        else:
            raise ValueError(f"it has an instruction that a TransportableObject does not need ({opcode!r})")

    def result(self) -> Any:
        if len(self._stack) != 1 or type(self._stack[0]) is not _Built:
            raise ValueError("it is no TransportableObject")
        state = self._stack[0].state
        header = state.get("_header", {"py_version": state.get("python_version", "")})
        return transportable.make(state.get("_object"), state.get("_object_string", ""), header)

    def _number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def _text(self, size: int) -> str:
        if size > self._file.size:
            raise ValueError("it breaks off")
        if size < LARGE_TEXT:
            return self.take(size).decode("utf-8")
        return read_text(self._file, size)

    def _top(self) -> Any:
        if not self._stack:
            raise ValueError("it is no pickle")
        return self._stack[-1]

    def _pop(self) -> Any:
        top = self._top()
        self._stack.pop()
        return top

    def _get(self, index: int) -> None:
        value = self._memo.get(index, _MARK)
        if type(value) is not str:
            raise ValueError("it uses something twice that is no text")
        self._repeated += len(value)
        if self._repeated > _MAX_REPEATED_CHARS:
            raise ValueError("it uses a long text more than once")
        self._stack.append(value)

    def _line(self) -> str:
        line = bytearray()
        while (byte := self.take(1)) != b"\n":
            line += byte
            if len(line) > _MAX_NAME_BYTES:
                raise ValueError("it has a name that is longer than any")
        return line.decode("utf-8", "backslashreplace")

    def _begin_dict(self) -> None:
        self._stack.append({})

    def _global(self) -> None:
        module = self._line()
        self._push_class(module, self._line())

    def _instance(self) -> NoReturn:
        module = self._line()
        raise RefusedError(one_line(f"{module}.{self._line()}"))

    def _stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        if type(name) is not str or type(module) is not str:
            raise RefusedError("something without a name")
        self._push_class(module, name)

    def _push_class(self, module: str, name: str) -> None:
        if (module, name) not in _CLASSES:
            raise RefusedError(one_line(f"{module}.{name}", 2 * _MAX_NAME_BYTES))
        self._stack.append(_CLASS)

    def _new(self) -> None:
        if self._pop() is not _EMPTY or self._pop() is not _CLASS:
            raise ValueError("it makes something else than a TransportableObject")
        self._stack.append(_NEW)

    def _build(self) -> None:
        state, made = self._pop(), self._pop()
        if type(state) is not dict or made is not _NEW:
            raise ValueError("it changes something else than a TransportableObject")
        self._stack.append(_Built(state))

    def _set_item(self) -> None:
        value, key = self._pop(), self._pop()
        self._set_entries([key, value])

    def _set_items(self) -> None:
        items: list[Any] = []
        while (item := self._pop()) is not _MARK:
            items.append(item)
        self._set_entries(items[::-1])

    def _set_entries(self, items: list[Any]) -> None:
        target = self._top()
        if type(target) is not dict or len(items) % 2:
            raise ValueError("it is no pickle of a TransportableObject")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) is not str:
                raise ValueError("it is no pickle of a TransportableObject")
            target[key] = value

    _HANDLERS: ClassVar[dict[bytes, Callable[[_Reader], None]]] = {
        pickle.EMPTY_DICT: _begin_dict,
        pickle.GLOBAL: _global,
        pickle.INST: _instance,
        pickle.STACK_GLOBAL: _stack_global,
        pickle.NEWOBJ: _new,
        pickle.BUILD: _build,
        pickle.SETITEM: _set_item,
        pickle.SETITEMS: _set_items,
    }
