"""A `TransportableObject` as Covalent serialises it, read from a file instead of memory.

Two offsets of eight bytes, big end first, then what lies between them: a header in JSON, the object as `str` shows it,
and the object itself, pickled, in base64. `TransportableObject.deserialize` copies the whole several times, and
believes what it reads.
"""

from __future__ import annotations

import json
from typing import Any

from covalent_awsbatch_plugin.agreement.unpickling import SizedFile, read_text

from . import transportable

_OFFSET = 8
_LARGEST_HEADER = 4 * 1024 * 1024  # it holds the docstring of what was returned


def load(file: SizedFile) -> Any:
    """Read what `serialize` returned.

    Args:
        file: Where it is.

    Returns:
        The `TransportableObject`, as `deserialize` would have it.

    Raises:
        ValueError: It is something else.
    """
    text_at, data_at = (int.from_bytes(file.read(_OFFSET), "big") for _ in range(2))
    if not 2 * _OFFSET <= text_at <= data_at < file.size:
        raise ValueError("it is no serialised TransportableObject, or not all of it")
    if text_at > _LARGEST_HEADER:
        raise ValueError("its header is larger than any that Covalent writes")
    try:
        header = json.loads(file.read(text_at - 2 * _OFFSET))
    except RecursionError:
        raise ValueError("its header is not one that Covalent writes") from None
    text = read_text(file.read, data_at - text_at)
    return transportable.make(read_text(file.read, file.size - data_at), text, header)
