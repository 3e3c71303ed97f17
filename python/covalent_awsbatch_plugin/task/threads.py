"""The threads in which tasks are packaged and results unpacked.

The pools are small: each thread competes with the dispatcher's event loop for the GIL and holds some memory. They are
separate from asyncio's pool, which Covalent needs. Large transfers have a pool of their own, so that small ones do not
wait until the large ones have gone over the network.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

LARGE_BYTES = 8 * 1024 * 1024
"""A transfer of this size or more is large."""

_THREADS_PER_POOL = 2  # in each of the two pools
_MAX_INSPECTED_VALUES = 1000  # values that are inspected to estimate a size

T = TypeVar("T")


async def run(size: int, function: Callable[..., T], *args: Any) -> T:
    """Call a blocking function in a thread.

    Args:
        size: Bytes that it processes, approximately.
        function: What to call.
        args: Its arguments.
    """
    return await asyncio.wrap_future(submit(size, function, *args))


def submit(size: int, function: Callable[..., T], *args: Any) -> Future[T]:
    """As `run`, for whoever does not wait for it at once.

    Args:
        size: Bytes that it processes, approximately.
        function: What to call.
        args: Its arguments.
    """
    return _pool("large" if size >= LARGE_BYTES else "small").submit(partial(function, *args))


def size_of(*values: Any) -> int:
    """Estimate the pickled size of values in bytes, without pickling them.

    Args:
        values: A call's arguments, for example. Covalent wraps each of them, alone or in lists and dicts, so there it
            can be seen.
    """
    size, queue = 0, list(values)
    for value in islice(queue, _MAX_INSPECTED_VALUES):
        if isinstance(value, (list, tuple)):
            queue += value[:_MAX_INSPECTED_VALUES]
        elif isinstance(value, dict):
            queue += islice(value.values(), _MAX_INSPECTED_VALUES)
        else:
            # Texts and bytes, arrays, and TransportableObjects, whose content may be in a file.
            attributes = getattr(value, "__dict__", {})
            parts = [value, *(attributes.get(name) for name in ("_object", "_object_string"))]
            size += sum(len(part) for part in parts if isinstance(part, (str, bytes, bytearray)))
            size += nbytes if isinstance(nbytes := getattr(value, "nbytes", 0), int) else 0
    return size


@cache
def _pool(kind: str) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS_PER_POOL, f"awsbatch-{kind}")


# A forked child has none of its parent's threads.
os.register_at_fork(after_in_child=_pool.cache_clear)
