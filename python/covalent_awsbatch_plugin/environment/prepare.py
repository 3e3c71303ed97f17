"""The environment of a server's jobs, in its bucket: made, uploaded and renewed by one thread, for all tasks."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

from covalent_awsbatch_plugin._core import Client

from .cache import Packed, packed
from .distributions import closure

# What the runner needs in the container. This package is apart, since it changes alone.
_OWN = "covalent-awsbatch-plugin"
_ROOTS = (_OWN, "cloudpickle")

# Seconds for which the bucket is not asked again; a lifecycle rule removes nothing that is younger than a day.
_FRESH_SECONDS = 3600
_PIECE = 8 * 1024 * 1024

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Environment:
    """What a job fetches.

    Attributes:
        keys: Keys of the objects in the bucket.
        python: Minor version of Python that it is for, such as `3.11`.
    """

    keys: tuple[str, ...]
    python: str


_ready: dict[tuple[Client, str], tuple[float, Environment]] = {}


async def environment(client: Client, bucket: str, tell: Callable[[str], None]) -> Environment:
    """The environment of the packages that are installed here, in the bucket.

    All tasks of a process wait for the same work. It goes on if the task that began it is cancelled.

    Args:
        client: Connection to use.
        bucket: Name of the bucket.
        tell: Called with a sentence on what was made or uploaded, by the task for which it was.

    Raises:
        CannotPackError: A package cannot be packed.
        AWSBatchError: The bucket cannot be written to.
        OSError: There is no room on this machine.
    """
    if (known := _known(client, bucket)) is not None:
        return known
    done: list[str] = []
    found = await asyncio.get_running_loop().run_in_executor(_thread(), _prepare, client, bucket, done)
    for sentence in done:
        tell(sentence)
    return found


def _known(client: Client, bucket: str) -> Environment | None:
    at, found = _ready.get((client, bucket), (0.0, None))
    return found if time.monotonic() - at < _FRESH_SECONDS else None


def _prepare(client: Client, bucket: str, done: list[str]) -> Environment:
    if (known := _known(client, bucket)) is not None:
        return known
    found = closure(_ROOTS)
    own = {_OWN: found.pop(_OWN)}
    keys = []
    for distributions in (found, own):
        start = time.monotonic()
        one = packed(distributions)
        if not asyncio.run(_kept(client, bucket, one.key)):
            _upload(client, bucket, one)
            seconds, size = time.monotonic() - start, one.file.stat().st_size / 1e6
            what = f"{one.packages} packages" if one.packages > 1 else "1 package"
            done.append(f"Made the environment's {what}, {size:.0f} MB, in {seconds:.0f} s: s3://{bucket}/{one.key}")
            _log.info("%s", done[-1])
        keys.append(one.key)
    made = Environment(tuple(keys), "{}.{}".format(*sys.version_info))
    _ready[client, bucket] = (time.monotonic(), made)
    return made


async def _kept(client: Client, bucket: str, key: str) -> bool:
    return await client.keep(bucket, key)


def _upload(client: Client, bucket: str, one: Packed) -> None:
    with client.writer(bucket, one.key) as writer, one.file.open("rb") as file:
        shutil.copyfileobj(file, writer, _PIECE)


@cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "awsbatch-environment")


# A child of fork() has none of its parent's threads.
os.register_at_fork(after_in_child=_thread.cache_clear)
