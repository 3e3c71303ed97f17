"""The packages of a task's function, in its bucket: made by one thread, once for all tasks that ask for the same."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, TextIO

from covalent_awsbatch_plugin import errors
from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.agreement.naming import INSTALLED, PACKAGES

from . import platforms, prepare, progress
from .cache import DamagedError, Packed
from .distributions import CannotPackError
from .packages import index, layers, locked
from .packages.resolve import Target, target
from .packages.wanted import Wanted, requirements, wanted
from .runtime import OWN, distributions
from .store import missing, upload

if TYPE_CHECKING:
    from covalent_awsbatch_plugin.options.settings import Settings

    from .store import Environment

# Seconds for which the bucket is not asked again, and for which nobody tries again what failed.
_FRESH_SECONDS = 600
_FAILED_SECONDS = 60
_REMEMBERED = 1000
_NOTED_SECONDS = 1.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Packages:
    """What a job has besides the runner.

    Attributes:
        objects: The files that hold it, here and in the bucket, in the order in which they are unpacked.
        replaced: Packages of the runner's that are there in another version, and have to go.
        install: Requirements that the job has to install, since they could not be packed.
        constraints: Versions that it then keeps to.
        installed: Fingerprints of what need not be installed any more.
        summary: How much it is, such as `87 packages, 62 MB`.
        why: Why it could not be packed; empty if it was.
        manifest: The object that says all this to the job; None if it has nothing to do.
    """

    objects: tuple[Packed, ...] = ()
    replaced: tuple[str, ...] = ()
    install: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    installed: tuple[str, ...] = ()
    summary: str = ""
    why: str = ""
    manifest: Packed | None = None

    @property
    def variables(self) -> dict[str, str]:
        """What tells the job of it."""
        found = {PACKAGES: self.manifest.key if self.manifest else "", INSTALLED: " ".join(self.installed)}
        return {name: value for name, value in found.items() if value}


_Key = tuple[Client, str, Wanted, bool, str]

_ready: dict[_Key, tuple[float, Packages]] = {}
_asked: ContextVar[Wanted] = ContextVar("asked", default=Wanted())  # noqa: B039  (it cannot be changed)


def begin(settings: Settings, client: Client, function: Any) -> None:
    """Has the packages made while the task's function is on its way; `packages` then waits for the rest.

    Args:
        settings: The task's options.
        client: Connection to use.
        function: What Covalent wants to be run; its `DepsPip` is read, and nothing of it runs.
    """
    asked = wanted(function, settings.packages)
    _asked.set(asked)
    key = _key(settings, client, asked)
    if asked and settings.source != "image" and _known(key) is None:
        making = _thread().submit(_prepare, key)
        making.add_done_callback(lambda done: _log.debug("The packages: %r", done.exception()))


async def complete(
    environment: Environment | None, settings: Settings, client: Client, stream: TextIO
) -> Environment | None:
    """An environment with what its job is told of the packages; the rest as for `packages`.

    Args:
        environment: As `prepare.environment` returns it.
        settings: See there.
        client: See there.
        stream: See there.
    """
    found = await packages(settings, client, stream)
    if environment is None:
        return None
    # What a job has to install, it does at its start, also in an image.
    if environment.image and found.objects and not found.install:
        try:
            baked = await _baked(environment, found, settings, client, stream)
        except (DamagedError, FileNotFoundError):  # it is made anew, and so is what another process has removed
            forget(client, settings.s3_bucket_name)
            found = await packages(settings, client, stream)
            baked = await _baked(environment, found, settings, client, stream)
        if baked is not None:
            return replace(baked, variables=replace(found, manifest=None).variables)
    return replace(environment, variables=found.variables)


async def _baked(
    environment: Environment, found: Packages, settings: Settings, client: Client, stream: TextIO
) -> Environment | None:
    whole = replace(environment, layers=found.objects, replaced=found.replaced)
    return await prepare.baked(whole, settings, client, stream)


async def packages(settings: Settings, client: Client, stream: TextIO) -> Packages:
    """The packages for the task that `begin` was told of in this context.

    All tasks of a process wait for the same work. It goes on if the task that began it is cancelled.

    Args:
        settings: The task's options.
        client: Connection to use.
        stream: Where a task that had to wait says so, and why packages are installed in its job: the electron's stderr.

    Raises:
        SettingsError: They cannot be packed, and `packages_required` says that they have to be.
        AWSBatchError: The bucket cannot be written to.
    """
    asked = _asked.get()
    if not asked:
        return Packages()
    key = _key(settings, client, asked)
    start = time.monotonic()
    if settings.source == "image":
        made = Packages(why="an image of its own is to have them")
    elif (known := _known(key)) is not None:
        made = known
    else:
        made = await asyncio.get_running_loop().run_in_executor(_thread(), _prepare, key)
    if (waited := time.monotonic() - start) > _NOTED_SECONDS and made.summary:
        print(f"Making the environment of {made.summary}: {waited:.0f} s", file=stream)
    if not made.why:
        return made
    if settings.packages_required:
        raise errors.SettingsError(
            f"AWSBatchExecutor: the packages of this task cannot be packed: {made.why}. Mend that, or set "
            "packages_required=False to have them installed when its job starts."
        )
    if settings.source != "image" or settings.packages:
        rest = "They are installed when the job starts, each time." if settings.source != "image" else ""
        print(f"The packages of this task are not packed: {made.why}. {rest}".rstrip(), file=stream)
    return made


def _key(settings: Settings, client: Client, asked: Wanted) -> _Key:
    return client, settings.s3_bucket_name, asked, bool(settings.given_image), platforms.machine(settings)


def forget(client: Client, bucket: str) -> None:
    """Has the bucket looked at again before the next job is submitted: one could not use what was there."""
    for key in [key for key in list(_ready) if key[:2] == (client, bucket)]:
        _ready.pop(key, None)


def _known(key: _Key) -> Packages | None:
    at, found = _ready.get(key, (0.0, None))
    fresh = _FAILED_SECONDS if found is not None and found.why else _FRESH_SECONDS
    return found if time.monotonic() - at < fresh else None


def _prepare(key: _Key) -> Packages:
    if (known := _known(key)) is not None:
        return known
    client, bucket, asked, is_own_image, machine = key
    option = requirements(Wanted(packages=asked.packages))  # a DepsPip is installed by Covalent

    def again() -> Packages:
        found = _made(locked.Bucket(client, bucket), asked, target(machine, is_own_image), machine, step)
        return replace(found, manifest=_manifest(found))

    with progress.step() as step:
        try:
            made = again()
        except (CannotPackError, OSError) as error:
            _log.warning("Packages are installed in jobs, and not packed: %s", error)
            made = Packages(install=option.lines, constraints=option.constraints, why=str(error))
            made = replace(made, manifest=_manifest(made))
        objects = [*made.objects, *([made.manifest] if made.manifest else [])]
        upload(client, bucket, missing(client, bucket, objects), again, step)
    if len(_ready) >= _REMEMBERED:
        _ready.clear()
    _ready[key] = (time.monotonic(), made)
    return made


def _manifest(made: Packages) -> Packed | None:
    if not (made.objects or made.install):
        return None
    content = {
        "objects": [one.key for one in made.objects],
        "replaced": made.replaced,
        "install": made.install,
        "constraints": made.constraints,
    }
    return layers.stored(json.dumps(content, sort_keys=True).encode(), ".json")


def _made(bucket: locked.Bucket, asked: Wanted, fits: Target, machine: str, step: progress.Step) -> Packages:
    start = time.monotonic()
    step.resolving()
    variables = cache(index.variables)
    runtime = distributions(machine)
    lock = locked.locked(bucket, requirements(asked), runtime, fits, variables)
    wheels = lock.wheels
    for wheel in wheels:
        if wheel.name == OWN:  # the job would be without the core, which is apart from the rest
            raise CannotPackError(f"a job's runner is {OWN} {runtime[OWN].version}, and the function asks for another")
    if wheels:
        step.making(len(wheels))
        _log.info("Making the environment of %d packages", len(wheels))
    try:
        objects = layers.packed(wheels, fits.python, variables)
    except CannotPackError:
        lock.drop()
        raise
    lock.keep()
    size = sum(one.file.stat().st_size for one in objects)
    summary = f"{len(wheels)} packages, {size / 1e6:.0f} MB" if wheels else ""
    if wheels:
        _log.info("Making the environment of %s: %.0f s", summary, time.monotonic() - start)
    return Packages(
        tuple(objects),
        replaced=tuple(wheel.name for wheel in wheels if wheel.name in runtime),
        installed=tuple(sorted(call.fingerprint for call in asked.calls)),
        summary=summary,
    )


@cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "awsbatch-packages")


# A child of fork() has none of its parent's threads.
os.register_at_fork(after_in_child=_thread.cache_clear)
