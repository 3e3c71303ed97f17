"""Makes the runtime of jobs and stores it in a bucket, where it is not there yet."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import Distribution
from typing import Any

from covalent_awsbatch_plugin._core import Client

from . import cache, runtime
from .cache import Packed
from .stored import description

_PIECE = 8 * 1024 * 1024
_PYTHON = "{}.{}".format(*sys.version_info)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Environment:
    """What a job fetches.

    Attributes:
        objects: The files that hold it, here and in the bucket.
        python: Minor version of Python that it is for, such as `3.11`.
        machine: The processor that it is for, as `platforms.machine` says.
        summary: How much it is, such as `80 packages, 81 MB`.
        variables: What else tells the job what it has.
        layers: Files of a function's own packages, in an image.
        replaced: Packages in `objects` that these have in another version.
        image: The image that has it all; empty if a job has to fetch it.
        warning: Why it is in no image although one was to be made.
    """

    objects: tuple[Packed, ...]
    python: str
    machine: str
    summary: str
    variables: Mapping[str, str] = field(default_factory=dict)
    layers: tuple[Packed, ...] = ()
    replaced: tuple[str, ...] = ()
    image: str = ""
    warning: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the objects that a job fetches at its start."""
        return tuple(one.key for one in self.objects if not one.on_demand)


class Watch:
    """Is told of the work on an environment. This one lets it happen."""

    def packing(self, packages: int) -> None:
        """So many packages are being packed."""

    def uploading(self, one: Packed, sent: int, size: int) -> None:
        """So many of the bytes of a file are on their way."""

    def baking(self) -> None:
        """An image is looked for, or made and pushed."""


def make(client: Client, bucket: str, machine: str, watch: Watch, *, anew: bool = False) -> Environment:
    """Packs what is not packed yet and uploads what is missing. Blocks.

    Args:
        client: Connection to use.
        bucket: Name of the bucket.
        machine: The processor of the jobs, as `platforms.machine` says.
        watch: Is told of it.
        anew: Pack and upload everything, whatever is there.

    Raises:
        CannotPackError: One of the packages cannot be packed.
        OSError: The cache cannot be written to.
        AWSBatchError: The bucket cannot be written to.
    """
    made = pack(machine, watch, anew=anew)
    store(client, bucket, made, watch, anew=anew)
    return made


def pack(machine: str, watch: Watch, *, anew: bool = False) -> Environment:
    """Packs what is not packed yet; see `make`."""
    return environment(runtime.pack(machine, partial(_packed, watch, anew=anew)), machine)


def environment(objects: Sequence[Packed], machine: str) -> Environment:
    """The environment of these files, for jobs with this processor."""
    size = sum(one.file.stat().st_size for one in objects)
    summary = f"{sum(one.packages for one in objects)} packages, {size / 1e6:.0f} MB"
    return Environment(tuple(objects), _PYTHON, machine, summary)


def store(client: Client, bucket: str, made: Environment, watch: Watch, *, anew: bool = False) -> None:
    """Uploads what is missing; see `make`."""
    again = partial(runtime.pack, made.machine, partial(_packed, watch, anew=False))
    upload(client, bucket, made.objects if anew else missing(client, bucket, made.objects), again, watch)


def missing(client: Client, bucket: str, objects: Sequence[Packed]) -> list[Packed]:
    """Those of these files that a bucket does not have. Blocks.

    Raises:
        AWSBatchError: The bucket cannot be asked.
    """
    are_kept = asyncio.run(_are_kept(client, bucket, objects))
    return [one for one, is_kept in zip(objects, are_kept, strict=True) if not is_kept]


def upload(client: Client, bucket: str, objects: Sequence[Packed], again: Callable[[], object], watch: Watch) -> None:
    """Uploads files. Blocks.

    Args:
        client: Connection to use.
        bucket: Name of the bucket.
        objects: The files.
        again: Makes those of them that are not there; one that is damaged is removed before.
        watch: Is told of it.

    Raises:
        OSError: A file cannot be read, or made again.
        AWSBatchError: The bucket cannot be written to.
    """
    send = partial(_send, client, bucket, watch)
    for one in objects:
        _upload(send, one, again)


def _packed(watch: Watch, group: dict[str, Distribution], *more: Any, anew: bool, **options: Any) -> Packed:
    """As `cache.packed`, and says so where it takes time."""
    found = cache.find(group, *more, **options)
    if found is not None and anew:
        cache.forget(found)
    if group and (found is None or anew):
        watch.packing(len(group))
    return cache.packed(group, *more, **options)


async def _are_kept(client: Client, bucket: str, objects: Sequence[Packed]) -> list[bool]:
    return await asyncio.gather(*(client.keep(bucket, one.key) for one in objects))


def _upload(send: Callable[[Packed], None], one: Packed, again: Callable[[], object]) -> None:
    try:
        send(one)
    except (cache.DamagedError, FileNotFoundError):  # or another process is packing it anew
        cache.forget(one)
        again()
        send(one)


def _send(client: Client, bucket: str, watch: Watch, one: Packed) -> None:
    """Uploads a file, and compares it meanwhile with the hash in its name."""
    start, sha256, sent = time.monotonic(), hashlib.sha256(), 0
    about = description(one.packages, _PYTHON)
    with client.writer(bucket, one.key, about, shared=True) as writer, one.file.open("rb") as file:
        size = os.fstat(file.fileno()).st_size  # by its name it may be another one by now
        while piece := file.read(_PIECE):
            watch.uploading(one, sent, size)
            sha256.update(piece)
            writer.write(piece)
            sent += len(piece)
        watch.uploading(one, sent, size)
        if sha256.hexdigest() not in one.key:
            raise cache.DamagedError(f"{one.file} is damaged")
    _log.info("Uploaded s3://%s/%s in %.1f s", bucket, one.key, time.monotonic() - start)
