"""The environment of a task's job, in its bucket or in an image: made and renewed by one thread, for all tasks."""

from __future__ import annotations

import asyncio
import copy
import logging
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, TextIO

from covalent_awsbatch_plugin import errors  # by its module: who imports that first gets here before it is whole
from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.options.settings import FORMER_IMAGE

from . import platforms, progress
from .bake import bake
from .cache import VARIABLE, DamagedError, Packed
from .distributions import CannotPackError
from .image import CannotBakeError
from .store import Environment, Watch, pack, store

if TYPE_CHECKING:
    from covalent_awsbatch_plugin.options.settings import Settings

# Seconds for which the bucket is not asked again. A lifecycle rule removes nothing that is younger than a day.
_FRESH_SECONDS = 600
# Seconds for which tasks fail as the one before, so that a hundred do not wait for the same registry in turn.
_FAILED_SECONDS = 60
_NOTED_SECONDS = 1.0
_REMEMBERED = 1000

_log = logging.getLogger(__name__)

# By the connection, the bucket and, where an image is made, all that tells which.
_Key = tuple[Client, str, tuple[str, ...]]
_ready: dict[_Key, tuple[float, Environment]] = {}
_failed: dict[_Key, tuple[float, Exception]] = {}


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
    if ":s3-outposts:" in settings.s3_bucket_name:
        raise errors.SettingsError(
            "AWSBatchExecutor: a job fetches no packages through an access point on Outposts. Set container_image_uri "
            "to an image that has Covalent and this package."
        )
    if settings.container_image_uri == FORMER_IMAGE:
        _advise_on_former_image()
    if (known := _known(settings, client)) is not None:
        return known
    start = time.monotonic()
    try:
        found = await asyncio.get_running_loop().run_in_executor(_thread(), _prepare, settings, client)
    except CannotBakeError as error:
        raise _refusal(error) from error
    except (CannotPackError, OSError) as error:
        hint = f" ({VARIABLE} names another directory for them)" if isinstance(error, OSError) else ""
        raise errors.SettingsError(
            f"AWSBatchExecutor: the packages of this machine cannot be sent to a job: {error}{hint}. Mend that, or set "
            "container_image_uri to an image that has Covalent and this package."
        ) from error
    if (waited := time.monotonic() - start) > _NOTED_SECONDS:
        where = "in an image" if found.image else "in the bucket"
        print(f"Waited {waited:.0f} s until the environment was packed and {where}: {found.summary}.", file=stream)
    if found.warning:
        print(found.warning, file=stream)
    return found


async def baked(whole: Environment, settings: Settings, client: Client, stream: TextIO) -> Environment | None:
    """The environment in an image with more packages, made once for all tasks of a process that have the same.

    Args:
        whole: As `environment` returns it, in an image, with the `layers` of these packages.
        settings: The task's options.
        client: Connection to use.
        stream: Where it says that no such image can be made.

    Returns:
        None if no such image can be made, and need not be.

    Raises:
        SettingsError: No such image can be made, and has to be.
        AWSBatchError: The same, for what a registry or ECR answers.
    """
    if (known := _known(settings, client, whole.layers)) is None:
        try:
            known = await asyncio.get_running_loop().run_in_executor(_thread(), _prepare_more, settings, client, whole)
        except CannotBakeError as error:
            raise _refusal(error) from error
    if known.warning:
        print(known.warning, file=stream)
        return None
    return known


def _refusal(error: CannotBakeError) -> errors.SettingsError:
    return errors.SettingsError(
        f'AWSBatchExecutor: no image can be made (runtime="ecr"): {error}. Mend that, or set runtime="bucket".'
    )


def forget(client: Client, bucket: str) -> None:
    """Has the bucket looked at again before the next job is submitted: one could not use what was there."""
    for key in [key for key in list(_ready) if key[:2] == (client, bucket)]:
        _ready.pop(key, None)


def forget_image(image: str) -> bool:
    """Forgets an image that could not be pulled, so that the next task looks whether it is there.

    Args:
        image: Its address, as a job had it.

    Returns:
        Whether it is one that was made here.
    """
    found = [key for key, (_, known) in list(_ready.items()) if image and known.image == image]
    for key in found:
        _ready.pop(key, None)
    return bool(found)


@cache
def _advise_on_former_image() -> None:
    _log.warning(
        "container_image_uri is the former default, %s, whose Python 3.8 no supported version of Covalent has. It "
        "counts as not given: jobs run in Python's own image, with the packages of this machine. Remove the option, "
        "here or in Covalent's configuration, or name an image of your own.",
        FORMER_IMAGE,
    )


def _key(settings: Settings, client: Client, more: Sequence[Packed] = ()) -> _Key:
    baked = settings.runtime, settings.ecr_repo_name, settings.image, settings.user
    image = baked if settings.source == "ecr" else ()
    return client, settings.s3_bucket_name, (settings.architecture, *image, *(one.key for one in more))


def _known(settings: Settings, client: Client, more: Sequence[Packed] = ()) -> Environment | None:
    at, found = _ready.get(_key(settings, client, more), (0.0, None))
    return found if time.monotonic() - at < _FRESH_SECONDS else None


def _prepare(settings: Settings, client: Client) -> Environment:
    if (known := _known(settings, client)) is not None:
        return known
    machine = platforms.machine(settings)
    with progress.step() as step:
        made = pack(machine, step)
        if settings.source == "ecr":
            try:
                made = _bake(_key(settings, client), settings, made, step)
            except (DamagedError, FileNotFoundError):  # it is packed anew, and so is what another process has removed
                made = _bake(_key(settings, client), settings, pack(machine, step), step)
        if not made.image:
            store(client, settings.s3_bucket_name, made, step)
    _remember(_key(settings, client), made)
    return made


def _prepare_more(settings: Settings, client: Client, whole: Environment) -> Environment:
    if (known := _known(settings, client, whole.layers)) is not None:
        return known
    key = _key(settings, client, whole.layers)
    with progress.step() as step:
        made = _bake(key, settings, replace(whole, image=""), step)
    _remember(key, made)
    return made


def _remember(key: _Key, made: Environment) -> None:
    if len(_ready) >= _REMEMBERED:
        _ready.clear()
    _ready[key] = (time.monotonic(), made)


def _bake(key: _Key, settings: Settings, made: Environment, watch: Watch) -> Environment:
    start = time.monotonic()
    if key in _failed and start - _failed[key][0] < _FAILED_SECONDS:
        raise copy.copy(_failed[key][1])
    watch.baking()
    try:
        image = asyncio.run(bake(settings, key[0], made))
    except (DamagedError, FileNotFoundError):
        raise
    except (CannotBakeError, OSError, errors.AWSBatchError) as error:
        if settings.runtime == "ecr":
            _failed[key] = (time.monotonic(), copy.copy(error))
            raise
        why = f"No image was made in the ECR repository {settings.ecr_repo_name}: {error}"
        warning = f"{why.rstrip('.')}. Jobs get their packages from the bucket instead."
        _log.warning(warning)
        return replace(made, warning=warning)
    _log.info("The image %s is there after %.1f s", image, time.monotonic() - start)
    return replace(made, image=image)


@cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "awsbatch-environment")


# A child of fork() has none of its parent's threads.
os.register_at_fork(after_in_child=_thread.cache_clear)
