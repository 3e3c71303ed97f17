"""A `TransportableObject` as Covalent serialises it, read from a file instead of memory.

Two offsets of eight bytes, big end first, then what lies between them: a header in JSON, the object as `str` shows it,
and the object itself, pickled, in base64. `TransportableObject.deserialize` copies the whole several times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .texts import read_text

if TYPE_CHECKING:
    from ._core import Reader

_OFFSET = 8


def load(file: Reader) -> Any:
    """Read what `serialize` returned.

    Args:
        file: Where it is.

    Returns:
        The `TransportableObject`, as `deserialize` would have it.

    Raises:
        ValueError: It is something else.
    """
    from covalent._workflow.transport import TransportableObject

    first, second = file.read(_OFFSET), file.read(_OFFSET)
    text_at, data_at = int.from_bytes(first, "big"), int.from_bytes(second, "big")
    if not 2 * _OFFSET <= text_at <= data_at <= file.size:
        raise ValueError("it is no serialised TransportableObject, or not all of it")
    loaded = TransportableObject.deserialize(first + first + file.read(text_at - 2 * _OFFSET))
    loaded._object_string = read_text(file.read, data_at - text_at)  # noqa: SLF001
    loaded._object = read_text(file.read, file.size - data_at)  # noqa: SLF001
    return loaded
