"""The threads in which tasks are packaged and results unpacked.

They are few: each of them may keep the dispatcher's event loop waiting for the interpreter's lock, and holds some
memory. They are this package's own, for those of asyncio are needed by Covalent. And large things have theirs apart
from small ones, which would otherwise wait until the large ones have gone over the network.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

LARGE = 8 * 1024 * 1024
"""Bytes from which on something is large."""

_THREADS = 2  # for each of the two kinds
_GLANCE = 1000  # values that are looked at to tell how large something is

T = TypeVar("T")


async def run(size: int, function: Callable[..., T], *args: Any) -> T:
    """Call a function that blocks or takes its time.

    Args:
        size: Bytes that it deals with, about.
        function: What to call.
        args: Its arguments.
    """
    pool = _pool("large" if size >= LARGE else "small")
    return await asyncio.get_running_loop().run_in_executor(pool, partial(function, *args))


def size_of(*values: Any) -> int:
    """Bytes that something takes when it is pickled, as far as that can be seen at a glance.

    Args:
        values: A call's arguments, for example. Covalent wraps each of them, alone or in lists and dicts, so there it
            can be seen.
    """
    size, queue = 0, list(values)
    for value in islice(queue, _GLANCE):
        if isinstance(value, (list, tuple)):
            queue += value[:_GLANCE]
        elif isinstance(value, dict):
            queue += islice(value.values(), _GLANCE)
        else:
            # Texts and bytes, arrays and their like, TransportableObjects.
            parts = [value, *(getattr(value, name, None) for name in ("_object", "_object_string"))]
            size += sum(len(part) for part in parts if isinstance(part, (str, bytes, bytearray)))
            size += nbytes if isinstance(nbytes := getattr(value, "nbytes", 0), int) else 0
    return size


@cache
def _pool(kind: str) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, f"awsbatch-{kind}")


# A child of fork() has none of its parent's threads.
os.register_at_fork(after_in_child=_pool.cache_clear)
