"""The environment of a server's jobs, in its bucket or in an image: made and renewed by one thread, for all tasks."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import Distribution
from typing import TYPE_CHECKING, TextIO

from covalent_awsbatch_plugin import errors  # by its module: who imports that first gets here before it is whole
from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.options.settings import FORMER_IMAGE

from . import on_demand
from .bake import bake
from .cache import Packed, packed
from .distributions import CannotPackError, closure, modules
from .image import CannotBakeError
from .pack import LIBRARY

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

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Environment:
    """What a job fetches.

    Attributes:
        objects: The files that hold it, here and in the bucket.
        python: Minor version of Python that it is for, such as `3.11`.
        summary: How much it is, such as `80 packages, 81 MB`.
        variables: What else tells the job what it has.
        image: The image that has it all; empty if a job has to fetch it.
        warning: Why it is in no image although one was to be made.
    """

    objects: tuple[Packed, ...]
    python: str
    summary: str
    variables: Mapping[str, str] = field(default_factory=dict)
    image: str = ""
    warning: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the objects that a job fetches at its start."""
        return tuple(one.key for one in self.objects if not one.on_demand)


_ready: dict[tuple[Client, tuple[str, ...]], tuple[float, Environment]] = {}


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
    if settings.source != "image" and _known(settings, client) is None:
        making = _thread().submit(_prepare, settings, client)
        # Whoever waits for it hears of a failure, since it is then tried again.
        making.add_done_callback(lambda done: _log.debug("The environment: %r", done.exception()))


async def environment(settings: Settings, client: Client, stream: TextIO) -> Environment | None:
    """The environment for a job: the packages that are installed here, in the bucket or in an image.

    All tasks of a process wait for the same work. It goes on if the task that began it is cancelled.

    Args:
        settings: The task's options.
        client: Connection to use.
        stream: Where a task that had to wait says so: the electron's stderr.

    Returns:
        What the job fetches first, or the image that has it; None if its image has all it needs.

    Raises:
        SettingsError: The packages of this machine cannot be packed, or no image can be made.
        AWSBatchError: The bucket or the repository cannot be written to.
    """
    if settings.source == "image":
        return None
    if settings.container_image_uri == FORMER_IMAGE:
        _advise_on_former_image()
    if (known := _known(settings, client)) is not None:
        return known
    start = time.monotonic()
    try:
        found = await asyncio.get_running_loop().run_in_executor(_thread(), _prepare, settings, client)
    except CannotBakeError as error:
        raise errors.SettingsError(
            f'AWSBatchExecutor: no image can be made (runtime="ecr"): {error}. Mend that, or set runtime="bucket".'
        ) from error
    except (CannotPackError, OSError) as error:
        raise errors.SettingsError(
            f"AWSBatchExecutor: the packages of this machine cannot be sent to a job: {error}. Mend that, or set "
            "container_image_uri to an image that has Covalent and this package."
        ) from error
    if (waited := time.monotonic() - start) > _NOTED_SECONDS:
        where = "in an image" if found.image else "in the bucket"
        print(f"Waited {waited:.0f} s until the environment was packed and {where}: {found.summary}.", file=stream)
    if found.warning:
        print(found.warning, file=stream)
    return found


def forget(image: str) -> bool:
    """Forgets an image that could not be pulled, so that the next task looks whether it is there.

    Args:
        image: Its address, as a job had it.

    Returns:
        Whether it is one that was made here.
    """
    found = [key for key, (_, known) in _ready.items() if image and known.image == image]
    for key in found:
        del _ready[key]
    return bool(found)


@cache
def _advise_on_former_image() -> None:
    _log.warning(
        "container_image_uri is the former default, %s, whose Python 3.8 no supported version of Covalent has. It "
        "counts as not given: jobs run in Python's own image, with the packages of this machine. Remove the option, "
        "here or in Covalent's configuration, or name an image of your own.",
        FORMER_IMAGE,
    )


def _place(settings: Settings) -> tuple[str, ...]:
    image = (settings.runtime, settings.ecr_repo_name, settings.image) if settings.source == "ecr" else ()
    return (settings.s3_bucket_name, *image)


def _known(settings: Settings, client: Client) -> Environment | None:
    at, found = _ready.get((client, _place(settings)), (0.0, None))
    return found if time.monotonic() - at < _FRESH_SECONDS else None


def _prepare(settings: Settings, client: Client) -> Environment:
    if (known := _known(settings, client)) is not None:
        return known
    objects = _pack(distributions())
    size = sum(one.file.stat().st_size for one in objects)
    summary = f"{sum(one.packages for one in objects)} packages, {size / 1e6:.0f} MB"
    made = Environment(tuple(objects), "{}.{}".format(*sys.version_info), summary)
    if settings.source == "ecr":
        made = _bake(settings, client, made)
    if not made.image:
        _store(client, settings.s3_bucket_name, made)
    _ready[client, _place(settings)] = (time.monotonic(), made)
    return made


def _bake(settings: Settings, client: Client, made: Environment) -> Environment:
    start = time.monotonic()
    try:
        image = asyncio.run(bake(settings, client, made.objects, made.python))
    except (CannotBakeError, OSError, errors.AWSBatchError) as error:
        if settings.runtime == "ecr":
            raise
        why = f"No image was made in the ECR repository {settings.ecr_repo_name}: {error}"
        warning = f"{why.rstrip('.')}. Jobs get their packages from the bucket instead."
        _log.warning(warning)
        return replace(made, warning=warning)
    _log.info("The image %s is there after %.1f s", image, time.monotonic() - start)
    return replace(made, image=image)


def _store(client: Client, bucket: str, made: Environment) -> None:
    for one in made.objects:
        if not asyncio.run(_is_kept(client, bucket, one.key)):
            start = time.monotonic()
            _upload(client, bucket, one)
            _log.info("Uploaded s3://%s/%s in %.1f s", bucket, one.key, time.monotonic() - start)


def _pack(found: dict[str, Distribution]) -> list[Packed]:
    own = {_OWN: found.pop(_OWN)}
    first = {name: one for name, one in found.items() if name in _FIRST.split()}
    names = {module for one in first.values() for module in modules(one)}
    # What shares the name of a package with them belongs to them.
    first.update((name, one) for name, one in found.items() if not names.isdisjoint(modules(one)))
    rest = {name: one for name, one in found.items() if name not in first}
    more = packed(rest, on_demand.FOLDER)
    description = {
        "key": more.key,
        "modules": sorted({module for one in rest.values() for module in modules(one)}),
        "distributions": sorted(rest),
    }
    return [
        packed(first, more={"bin/pip": _PIP, "bin/pip3": _PIP, on_demand.DESCRIPTION: json.dumps(description)}),
        packed(own, more={f"{LIBRARY}/site-packages/covalent-awsbatch.pth": _INSTALL}),
        replace(more, on_demand=True),
    ]


async def _is_kept(client: Client, bucket: str, key: str) -> bool:
    return await client.keep(bucket, key)


def _upload(client: Client, bucket: str, one: Packed) -> None:
    with client.writer(bucket, one.key) as writer, one.file.open("rb") as file:
        shutil.copyfileobj(file, writer, _PIECE)


@cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "awsbatch-environment")


# A child of fork() has none of its parent's threads.
os.register_at_fork(after_in_child=_thread.cache_clear)
