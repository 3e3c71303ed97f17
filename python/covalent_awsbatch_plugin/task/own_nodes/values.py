"""Makes the results of Covalent's own nodes."""

from __future__ import annotations

import base64
import logging
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from covalent_awsbatch_plugin.printable import one_line
from covalent_awsbatch_plugin.server import stored_object
from covalent_awsbatch_plugin.task import threads, transfer, transportable

from . import structure
from .recognition import Kind, kind_of
from .structure import UNKNOWN, UnclearError, Value

LARGEST_CHARS = 8 * 1024 * 1024
"""Characters in base64 that what a list, dict or subscript is made of may have together; beyond it takes a job.

Making it then takes 43 MB of memory for a moment (a list), or 31 MB (an item).
"""

_SCALAR_BYTES = 64 * 1024  # of the largest text or bytes that is written as it is
_SCALAR_INSTRUCTIONS = 5  # with those that begin, keep and end it
_SHOWN_CHARS = 200  # of what an item was taken from
_EXAMPLES: dict[str, Any] = {"list": [], "tuple": (), "dict": {}}  # whose documentation Covalent keeps beside a result
_log = logging.getLogger(__name__)


async def made(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The result of one of Covalent's own nodes, without a job, a request to AWS or credentials.

    Args:
        function: As Covalent hands it to an executor.
        args: The results of the nodes that it is made of, still serialised.
        kwargs: The same, by name.

    Returns:
        A `TransportableObject`, equal to what a job would return. None if it takes a job: any other function, more than
        `LARGEST_CHARS`, or what is not certain, such as an item that is not there: its own node then fails, in the job.
    """
    kind = kind_of(function)
    if kind is None:
        return None
    if kind is Kind.RESULT:
        is_plain = len(args) == 1 and all(name.startswith("node:") for name in kwargs)
        return args[0] if is_plain else None
    try:
        size = sum(map(stored_object.chars, args))
        return None if kwargs or size > LARGEST_CHARS else await threads.run(size, _MAKERS[kind], *args)
    except (ValueError, LookupError, TypeError, AttributeError) as why:
        _log.debug("%s takes a job: %s", kind.value, one_line(why, _SHOWN_CHARS))
        return None


def list_of(*parents: Any) -> Any:
    """A list of results, made without loading them.

    Args:
        parents: The results, still serialised.

    Returns:
        A `TransportableObject`.
    """
    items = [_value(parent) for parent in parents]
    texts = [_shown(item) or parent.object_string for item, parent in zip(items, parents, strict=True)]
    return _transportable(structure.list_of(items), f"[{', '.join(texts)}]", parents)


def _dict(keys: Any, values: Any) -> Any:
    names, contents = (structure.read(base64.b64decode(one.get_serialized())) for one in (keys, values))
    if (names.kind, contents.kind) != ("list", "list") or any(key.scalar is UNKNOWN for key in names.items):
        raise UnclearError("not every key is a number or a text")
    value = structure.dict_of(names.items, contents.items)
    texts = [_shown(item) for item in value.items]
    text = f"{{{', '.join(map(': '.join, zip(texts[::2], texts[1::2], strict=True)))}}}"
    if not all(texts):
        text = f"dict(zip({keys.object_string}, {values.object_string}))"
    return _transportable(value, text, (values,))


def _item(parent: Any, key: Any) -> Any:
    whole, index = (structure.read(base64.b64decode(one.get_serialized())) for one in (parent, key))
    place = index.scalar
    if whole.kind == "dict" and type(place) in (str, int):
        item = {key.scalar: value for key, value in zip(whole.items[::2], whole.items[1::2], strict=True)}[place]
    elif whole.kind in ("list", "tuple") and type(place) is int:
        item = whole.items[place]
    else:
        raise UnclearError("it is no item of a list, a tuple or a dict")
    text = f"{parent.object_string[:_SHOWN_CHARS]}[{place!r}]" if item.scalar is UNKNOWN else str(item.scalar)
    return _transportable(item, text, (parent,))


_MAKERS = {Kind.LIST: list_of, Kind.DICT: _dict, Kind.ITEM: _item}


def _value(parent: Any) -> Value:
    """A parent as a part: itself if it is a number or a short text, else the bytes of its own pickle."""
    pickled = base64.b64decode(parent.get_serialized())
    if len(pickled) <= _SCALAR_BYTES:
        try:
            value = structure.read(pickled, _SCALAR_INSTRUCTIONS)
        except UnclearError:
            value = Value(())
        if value.scalar is not UNKNOWN:
            return value
    return structure.loaded(pickled)


def _shown(value: Value) -> str:
    return "" if value.scalar is UNKNOWN else repr(value.scalar)


def _transportable(value: Value, text: str, parents: Sequence[Any]) -> Any:
    """What Covalent's wrapper would make of a value that comes from some parents."""
    known: Any = _EXAMPLES.get(value.kind) if value.scalar is UNKNOWN else value.scalar
    own = transfer.versions()
    versions = {"py_version": own["python"], "cloudpickle_version": own["cloudpickle"]}
    header = next(chain((parent.header for parent in parents), [versions]))
    attributes = {"doc": getattr(known, "__doc__", ""), "name": ""}
    content = base64.b64encode(structure.written(value)).decode("ascii")
    return transportable.make(content, text, {**header, "attrs": attributes})
