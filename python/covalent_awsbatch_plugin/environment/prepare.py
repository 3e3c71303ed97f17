"""The environment of a server's jobs, in its bucket: made, uploaded and renewed by one thread, for all tasks."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache, partial
from importlib.metadata import Distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from covalent_awsbatch_plugin import errors  # by its module: who imports that first gets here before it is whole
from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.options.settings import FORMER_IMAGE

from . import cache as packing
from . import on_demand
from .cache import Packed
from .distributions import CannotPackError, closure, modules
from .pack import LIBRARY
from .stored import description

if TYPE_CHECKING:
    from covalent_awsbatch_plugin.options.settings import Settings

# What the runner needs in the container, with all that they need. This package is apart, since it changes alone.
_OWN = "covalent-awsbatch-plugin"
_ROOTS = (_OWN, "cloudpickle")
# What a job fetches at its start, as the runner imports it; the rest when something asks for it. One that is missing in
# this list would cost each job that time.
_FIRST = """
    aiofiles annotated-types certifi charset-normalizer cloudpickle covalent filelock furl idna orderedmultidict
    pydantic pydantic-core requests six tblib toml typing-extensions typing-inspection urllib3 watchdog
"""
# A program that pip installs names its interpreter, and where that will be is not known yet.
_PIP = """#!/bin/sh
exec "$(dirname "$0")/python" -m pip "$@"
"""
_INSTALL = f"import {on_demand.__name__} as one; one.install()\n"

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
        variables: What else tells the job what it has.
    """

    objects: tuple[Packed, ...]
    python: str
    summary: str
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the objects that a job fetches at its start."""
        return tuple(one.key for one in self.objects if not one.on_demand)


_ready: dict[tuple[Client, str], tuple[float, Environment]] = {}


def distributions() -> dict[str, Distribution]:
    """The packages that a job needs for the runner, by their normalised names.

    Raises:
        CannotPackError: One of them is not installed.
    """
    return closure(_ROOTS)


def begin(settings: Settings, client: Client) -> None:
    """Has the environment made while the task's function is on its way; `environment` then waits for the rest.

    Args:
        settings: The task's options.
        client: Connection to use.
    """
    if settings.source == "bucket" and _known(client, settings.s3_bucket_name) is None:
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
    if settings.source != "bucket":
        return None
    if settings.container_image_uri == FORMER_IMAGE:
        _advise_on_former_image()
    if (known := _known(client, bucket)) is not None:
        return known
    start = time.monotonic()
    try:
        found = await asyncio.get_running_loop().run_in_executor(_thread(), _prepare, client, bucket)
    except (CannotPackError, OSError) as error:
        raise errors.SettingsError(
            f"AWSBatchExecutor: the packages of this machine cannot be sent to a job: {error}. Mend that, or set "
            "container_image_uri to an image that has Covalent and this package."
        ) from error
    if (waited := time.monotonic() - start) > _NOTED_SECONDS:
        print(
            f"Waited {waited:.0f} s until the environment was packed and in the bucket: {found.summary}.", file=stream
        )
    return found


@cache
def _advise_on_former_image() -> None:
    _log.warning(
        "container_image_uri is the former default, %s, whose Python 3.8 no supported version of Covalent has. It "
        "counts as not given: jobs run in Python's own image, with the packages of this machine. Remove the option, "
        "here or in Covalent's configuration, or name an image of your own.",
        FORMER_IMAGE,
    )


def _known(client: Client, bucket: str) -> Environment | None:
    at, found = _ready.get((client, bucket), (0.0, None))
    return found if time.monotonic() - at < _FRESH_SECONDS else None


def forget(client: Client, bucket: str) -> None:
    """Has the bucket looked at again before the next job is submitted: one could not use what was there."""
    _ready.pop((client, bucket), None)


def in_use() -> tuple[set[str], int]:
    """What a task of this machine would use for the runner.

    Returns:
        Keys of the objects, but for those that are not packed yet; and how many there would be.

    Raises:
        CannotPackError: One of the packages cannot be packed.
    """
    keys: set[str] = set()

    def find(*group: Any, **options: Any) -> Packed:
        one = packing.find(*group, **options)
        keys.update([one.key] if one else [])
        return one or Packed("", Path(), 0)

    return keys, len(_pack(distributions(), find))


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
    objects = _pack(distributions(), partial(_packed, watch, anew=anew))
    for one in objects:
        if anew or not asyncio.run(_is_kept(client, bucket, one.key)):
            try:
                _upload(client, bucket, one, watch)
            except (_DamagedError, FileNotFoundError):  # or another process is packing it anew
                packing.forget(one)
                _pack(distributions(), partial(_packed, watch, anew=False))
                _upload(client, bucket, one, watch)
    size = sum(one.file.stat().st_size for one in objects)
    summary = f"{sum(one.packages for one in objects)} packages, {size / 1e6:.0f} MB"
    return Environment(tuple(objects), _PYTHON, summary)


def _prepare(client: Client, bucket: str) -> Environment:
    if (known := _known(client, bucket)) is not None:
        return known
    made = make(client, bucket, Watch())
    _ready[client, bucket] = (time.monotonic(), made)
    return made


def _packed(watch: Watch, group: dict[str, Distribution], *more: Any, anew: bool, **options: Any) -> Packed:
    """As `cache.packed`, and says so where it takes time."""
    found = packing.find(group, *more, **options)
    if found is not None and anew:
        packing.forget(found)
    if found is None or anew:
        watch.packing(len(group))
    return packing.packed(group, *more, **options)


def _pack(found: dict[str, Distribution], packed: Callable[..., Packed]) -> list[Packed]:
    own = {_OWN: found.pop(_OWN)}
    first = {name: one for name, one in found.items() if name in _FIRST.split()}
    names = {module for one in first.values() for module in modules(one)}
    # What shares the name of a package with them belongs to them.
    first.update((name, one) for name, one in found.items() if not names.isdisjoint(modules(one)))
    rest = {name: one for name, one in found.items() if name not in first}
    more = packed(rest, on_demand.FOLDER)
    contents = {
        "key": more.key,
        "modules": sorted({module for one in rest.values() for module in modules(one)}),
        "distributions": sorted(rest),
    }
    return [
        packed(first, more={"bin/pip": _PIP, "bin/pip3": _PIP, on_demand.DESCRIPTION: json.dumps(contents)}),
        packed(own, more={f"{LIBRARY}/site-packages/covalent-awsbatch.pth": _INSTALL}),
        replace(more, on_demand=True),
    ]


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
