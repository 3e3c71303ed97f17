"""The environment of a server's jobs, in its bucket: made, uploaded and renewed by one thread, for all tasks."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution
from typing import TYPE_CHECKING, TextIO

from covalent_awsbatch_plugin import errors  # by its module: who imports that first gets here before it is whole
from covalent_awsbatch_plugin._core import Client

from . import cache as packing
from .cache import Packed
from .distributions import CannotPackError, closure
from .stored import description

if TYPE_CHECKING:
    from covalent_awsbatch_plugin.options.settings import Settings

# What the runner needs in the container. This package is apart, since it changes alone.
_OWN = "covalent-awsbatch-plugin"
_ROOTS = (_OWN, "cloudpickle")

# Seconds for which the bucket is not asked again. A lifecycle rule removes nothing that is younger than a day.
_FRESH_SECONDS = 600
_PIECE = 8 * 1024 * 1024
_NOTED_SECONDS = 1.0
_PYTHON = "{}.{}".format(*sys.version_info)

_log = logging.getLogger(__name__)


class _DamagedError(OSError):
    """A file of the cache is not what was written."""


@dataclass(frozen=True)
class Environment:
    """What a job fetches.

    Attributes:
        objects: The files that hold it, here and in the bucket.
        python: Minor version of Python that it is for, such as `3.11`.
        summary: How much it is, such as `80 packages, 81 MB`.
    """

    objects: tuple[Packed, ...]
    python: str
    summary: str

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the objects in the bucket."""
        return tuple(one.key for one in self.objects)


_ready: dict[tuple[Client, str], tuple[float, Environment]] = {}


def distributions() -> dict[str, Distribution]:
    """The packages that a job needs for the runner, by their normalised names.

    Raises:
        CannotPackError: One of them is not installed.
    """
    return closure(_ROOTS)


def groups() -> list[dict[str, Distribution]]:
    """The same, in groups, each of which is an object in the bucket.

    Raises:
        CannotPackError: One of them is not installed.
    """
    found = distributions()
    return [found, {_OWN: found.pop(_OWN)}]


def begin(settings: Settings, client: Client) -> None:
    """Has the environment made while the task's function is on its way; `environment` then waits for the rest.

    Args:
        settings: The task's options.
        client: Connection to use.
    """
    if settings.runtime == "bucket" and _known(client, settings.s3_bucket_name) is None:
        making = _thread().submit(_prepare, client, settings.s3_bucket_name)
        # Whoever waits for it hears of a failure, since it is then tried again.
        making.add_done_callback(lambda done: _log.debug("The environment: %r", done.exception()))


async def environment(settings: Settings, client: Client, stream: TextIO) -> Environment | None:
    """The environment for a job: the packages that are installed here, in the bucket.

    All tasks of a process wait for the same work. It goes on if the task that began it is cancelled.

    Args:
        settings: The task's options.
        client: Connection to use.
        stream: Where a task that had to wait says so: the electron's stderr.

    Returns:
        What the job fetches first; None if its image has all it needs.

    Raises:
        SettingsError: The packages of this machine cannot be packed.
        AWSBatchError: The bucket cannot be written to.
    """
    bucket = settings.s3_bucket_name
    if settings.runtime != "bucket":
        return None
    if (known := _known(client, bucket)) is not None:
        return known
    start = time.monotonic()
    try:
        found = await asyncio.get_running_loop().run_in_executor(_thread(), _prepare, client, bucket)
    except (CannotPackError, OSError) as error:
        raise errors.SettingsError(
            f'AWSBatchExecutor: runtime="bucket" is not possible here: {error}. Mend that, or set runtime="image" and '
            "container_image_uri to an image that has Covalent and this package."
        ) from error
    if (waited := time.monotonic() - start) > _NOTED_SECONDS:
        print(
            f"Waited {waited:.0f} s until the environment was packed and in the bucket: {found.summary}.", file=stream
        )
    return found


def _known(client: Client, bucket: str) -> Environment | None:
    at, found = _ready.get((client, bucket), (0.0, None))
    return found if time.monotonic() - at < _FRESH_SECONDS else None


def forget(client: Client, bucket: str) -> None:
    """Has the bucket looked at again before the next job is submitted: one could not use what was there."""
    _ready.pop((client, bucket), None)


def in_use() -> set[str]:
    """Keys of the objects that a task of this machine would use; without those that are not packed yet.

    Raises:
        CannotPackError: One of the packages cannot be packed.
    """
    return {one.key for group in groups() if (one := packing.find(group)) is not None}


class Watch:
    """Is told of the work on an environment. This one lets it happen."""

    def packing(self, packages: int) -> None:
        """So many packages are being packed."""

    def uploading(self, one: Packed, sent: int) -> None:
        """So many bytes of a file are on their way."""


def make(client: Client, bucket: str, watch: Watch, *, anew: bool = False) -> Environment:
    """Packs what is not packed yet and uploads what is missing. Blocks.

    Args:
        client: Connection to use.
        bucket: Name of the bucket.
        watch: Is told of it.
        anew: Pack and upload everything, whatever is there.

    Raises:
        CannotPackError: One of the packages cannot be packed.
        OSError: The cache cannot be written to.
        AWSBatchError: The bucket cannot be written to.
    """
    parts = groups()
    objects = [_packed(group, watch, anew=anew) for group in parts]
    for number, group in enumerate(parts):
        if anew or not asyncio.run(_is_kept(client, bucket, objects[number].key)):
            try:
                _upload(client, bucket, objects[number], watch)
            except (_DamagedError, FileNotFoundError):  # or another process has packed it anew
                objects[number] = _packed(group, watch, anew=True)
                _upload(client, bucket, objects[number], watch)
    size = sum(one.file.stat().st_size for one in objects)
    summary = f"{sum(one.packages for one in objects)} packages, {size / 1e6:.0f} MB"
    return Environment(tuple(objects), _PYTHON, summary)


def _prepare(client: Client, bucket: str) -> Environment:
    if (known := _known(client, bucket)) is not None:
        return known
    made = make(client, bucket, Watch())
    _ready[client, bucket] = (time.monotonic(), made)
    return made


def _packed(group: dict[str, Distribution], watch: Watch, *, anew: bool) -> Packed:
    found = packing.find(group)
    if found is not None and anew:
        packing.forget(found)
    if found is None or anew:
        watch.packing(len(group))
    return packing.packed(group)


async def _is_kept(client: Client, bucket: str, key: str) -> bool:
    return await client.keep(bucket, key)


def _upload(client: Client, bucket: str, one: Packed, watch: Watch) -> None:
    """Uploads a file; what the power has cut off, or a bad disk changed, is not what its name says."""
    start, sha256, sent = time.monotonic(), hashlib.sha256(), 0
    with client.writer(bucket, one.key, description(one.packages, _PYTHON)) as writer, one.file.open("rb") as file:
        while piece := file.read(_PIECE):
            watch.uploading(one, sent)
            sha256.update(piece)
            writer.write(piece)
            sent += len(piece)
        watch.uploading(one, sent)
        if sha256.hexdigest() not in one.key:
            raise _DamagedError(f"{one.file} is damaged")
    _log.info("Uploaded s3://%s/%s in %.1f s", bucket, one.key, time.monotonic() - start)


@cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "awsbatch-environment")


# A child of fork() has none of its parent's threads.
os.register_at_fork(after_in_child=_thread.cache_clear)
