"""Pickling without a second copy of large texts; the counterpart of `agreement.unpickling`.

Python's pickler passes large bytes to its file as they are, but copies a large text first: that takes twice the memory,
and holds the GIL meanwhile. Here it gets placeholder bytes instead of the text, which are replaced when it writes them.
The pickle is the same, byte for byte.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any, Protocol

import cloudpickle
from covalent._workflow.transport import TransportableObject

from covalent_awsbatch_plugin.agreement import references
from covalent_awsbatch_plugin.agreement.display_text import shortened
from covalent_awsbatch_plugin.agreement.references import Reference
from covalent_awsbatch_plugin.agreement.unpickling import LARGE_TEXT
from covalent_awsbatch_plugin.server import stored_object

from .shared_argument import SharedArgument

_PLACEHOLDER_BYTES = 64 * 1024  # from this size on the pickler passes bytes to the file in a write of their own
_PLACEHOLDER_HEADER = pickle.BINBYTES + _PLACEHOLDER_BYTES.to_bytes(4, "little")


class File(Protocol):
    """Where a pickle goes: the core's `Writer`."""

    def write(self, data: Any, /) -> int:
        """Take bytes, or whatever is a buffer of them."""

    def write_text(self, text: str, /) -> int:
        """Take a text, to be stored as UTF-8."""


def dump(value: Any, file: File, contents: Mapping[Reference, int] | None = None) -> None:
    """Pickle a value as `cloudpickle.dump` does.

    Args:
        value: Anything; the texts of a `TransportableObject` in it are not copied.
        file: Where to.
        contents: The contents that the pickle refers to, each with its number.
    """
    stream = _Stream(file)
    _Pickler(stream, contents or {}).dump(value)
    stream.finish()


class _Content:
    """What stands in the pickle for a content that it refers to."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __reduce__(self) -> Any:
        return references.content, (self._number,)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle ships no types
    def __init__(self, stream: _Stream, contents: Mapping[Reference, int]) -> None:
        super().__init__(stream)
        self._stream = stream
        self._contents = {reference: _Content(number) for reference, number in contents.items()}

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) not in (TransportableObject, SharedArgument, stored_object.StoredObject):
            return super().reducer_override(obj)
        if type(obj) is SharedArgument and (content := self._contents.get(obj.reference)):
            return obj.reduced(_object=content, _object_string=shortened(vars(obj).get("_object_string", "")))
        function, arguments, state, *rest = obj.__reduce_ex__(cloudpickle.DEFAULT_PROTOCOL)
        if isinstance(state, dict) and any(map(_is_large, state.values())):
            state = {
                name: self._stream.placeholder(value) if _is_large(value) else value for name, value in state.items()
            }
        return (function, arguments, state, *rest)


class _Stream:
    """What the pickler writes to."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._header = b""  # that may precede a placeholder
        # Placeholders are kept with their texts, so that no other object can get the same id.
        self._texts: dict[int, tuple[bytes, str]] = {}

    def placeholder(self, text: str) -> bytes:
        """Return bytes to be pickled in the place of a text."""
        placeholder = bytes(_PLACEHOLDER_BYTES)
        self._texts[id(placeholder)] = (placeholder, text)
        return placeholder

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
        if self._texts and type(data) is bytes and data.endswith(_PLACEHOLDER_HEADER):
            self._header = _PLACEHOLDER_HEADER
            data = data[: -len(_PLACEHOLDER_HEADER)]
        self._file.write(data)

    def finish(self) -> None:
        """Write what is left.

        Raises:
            RuntimeError: A placeholder was not written as expected, which tests rule out for known Pythons.
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
