"""A `TransportableObject` as Covalent serialises it, read from a file instead of memory.

Two offsets of eight bytes, big-endian; a JSON header; the object as `str` shows it; and the pickled object in base64.
`TransportableObject.deserialize` would copy the whole several times and trust the content.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from covalent_awsbatch_plugin.agreement.unpickling import SizedFile, read_text
from covalent_awsbatch_plugin.server import stored_object

from . import transportable

_OFFSET_BYTES = 8
_PIECE_BYTES = 1024 * 1024
_MAX_HEADER_BYTES = 4 * 1024 * 1024  # it holds the docstring of what was returned


def load(file: SizedFile, *, into_file: bool = False) -> Any:
    """Read what `serialize` returned.

    Args:
        file: Where it is.
        into_file: Whether the content goes into a file, and not into memory.

    Returns:
        The `TransportableObject`, as `deserialize` would have it.

    Raises:
        ValueError: It is something else.
    """
    text_offset, data_offset = (int.from_bytes(file.read(_OFFSET_BYTES), "big") for _ in range(2))
    if not 2 * _OFFSET_BYTES <= text_offset <= data_offset < file.size:
        raise ValueError("it is no serialised TransportableObject, or not all of it")
    if text_offset > _MAX_HEADER_BYTES:
        raise ValueError("its header is larger than any that Covalent writes")
    try:
        header = json.loads(file.read(text_offset - 2 * _OFFSET_BYTES))
    except RecursionError:
        raise ValueError("its header is not one that Covalent writes") from None
    text = read_text(file, data_offset - text_offset)
    size = file.size - data_offset
    if into_file:
        return stored_object.of_pieces(_pieces(file, size), *transportable.described(text, header))
    return transportable.make(read_text(file, size), text, header)


def _pieces(file: SizedFile, size: int) -> Iterator[bytes]:
    """The content, which has to be base64's letters."""
    while size:
        piece = file.read(min(size, _PIECE_BYTES))
        if not piece:
            raise EOFError("it breaks off within a text")
        if not piece.isascii():
            raise ValueError("it holds no pickled value")
        size -= len(piece)
        yield piece
