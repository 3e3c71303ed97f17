"""Pickling without a second copy of large texts; the counterpart of `texts`.

Python's pickler hands large bytes to its file as they are, but copies a large text first: twice the memory, and nobody
else may run meanwhile. Here it is given bytes in the text's place, and these are replaced on their way into the file.
The pickle is the same, byte for byte.
"""

from __future__ import annotations

import pickle
from typing import Any, Protocol

import cloudpickle
from covalent._workflow.transport import TransportableObject

from covalent_awsbatch_plugin.agreement.unpickling import LARGE_TEXT

_STAND_IN = 64 * 1024  # bytes from which on the pickler hands them to the file apart from everything else
_HEADER = pickle.BINBYTES + _STAND_IN.to_bytes(4, "little")


class File(Protocol):
    """Where a pickle goes: the core's `Writer`."""

    def write(self, data: Any, /) -> int:
        """Take bytes, or whatever is a buffer of them."""

    def write_text(self, text: str, /) -> int:
        """Take a text, to be stored as UTF-8."""


def dump(value: Any, file: File) -> None:
    """Pickle a value as `cloudpickle.dump` does.

    Args:
        value: Anything; the texts of a `TransportableObject` in it are not copied.
        file: Where to.
    """
    stream = _Stream(file)
    _Pickler(stream).dump(value)
    stream.finish()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle ships no types
    def __init__(self, stream: _Stream) -> None:
        super().__init__(stream)
        self._stream = stream

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is not TransportableObject:
            return super().reducer_override(obj)
        function, arguments, state, *rest = obj.__reduce_ex__(cloudpickle.DEFAULT_PROTOCOL)
        if isinstance(state, dict) and any(map(_is_large, state.values())):
            state = {name: self._stream.stand_in(value) if _is_large(value) else value for name, value in state.items()}
        return (function, arguments, state, *rest)


class _Stream:
    """What the pickler writes to."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._header = b""  # of a stand-in that is perhaps to come
        # The stand-ins are kept with their texts, for else another object could have the same identity.
        self._texts: dict[int, tuple[bytes, str]] = {}

    def stand_in(self, text: str) -> bytes:
        """Bytes to be pickled in the place of a text."""
        stand_in = bytes(_STAND_IN)
        self._texts[id(stand_in)] = (stand_in, text)
        return stand_in

    def write(self, data: Any) -> None:
        _, text = self._texts.pop(id(data), (None, None))
        if text is not None and self._header:
            self._header = b""
            self._file.write(_header(len(text)))
            self._file.write_text(text)
            return
        if self._header:
            self._file.write(self._header)
            self._header = b""
        if self._texts and type(data) is bytes and data.endswith(_HEADER):
            self._header = _HEADER
            data = data[: -len(_HEADER)]
        self._file.write(data)

    def finish(self) -> None:
        """Write what is left.

        Raises:
            RuntimeError: A stand-in was not recognised, which a test would have shown for any known Python.
        """
        if self._header:
            self._file.write(self._header)
        if self._texts:
            raise RuntimeError("this Python's pickler does not hand large bytes to its file as they are")


def _is_large(value: Any) -> bool:
    return type(value) is str and len(value) >= LARGE_TEXT and value.isascii()


def _header(length: int) -> bytes:
    if length < 1 << 32:
        return pickle.BINUNICODE + length.to_bytes(4, "little")
    return pickle.BINUNICODE8 + length.to_bytes(8, "little")
