"""What requirements were resolved to, so that it stays so: on this machine, and in the bucket for other servers.

What stands on this machine is taken as it is, and no index is asked. What stands in the bucket is versions and no more,
with which the index is asked: whoever can write there chooses neither files nor where they come from.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from covalent_awsbatch_plugin import errors
from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.environment import cache
from covalent_awsbatch_plugin.environment.distributions import fingerprint

from .resolve import NoSolutionError, Target, Wheel, resolved
from .wanted import Requirements

PREFIX = "environments/resolved-"
"""Begins the keys of the objects that say in which versions packages were found."""

_FORMAT = 1
_KEPT_SECONDS = 30 * 24 * 3600
_FILE = "lock.json"

_log = logging.getLogger(__name__)


class Bucket(NamedTuple):
    """A bucket, by the connection to use."""

    client: Client
    name: str


@dataclass(frozen=True)
class Locked:
    """What requirements were resolved to.

    Attributes:
        wheels: What the job does not have for the runner.
        keep: To be called when these were found fit for use: others then get the same.
        drop: To be called when they were not.
    """

    wheels: list[Wheel]
    keep: Callable[[], object] = lambda: None
    drop: Callable[[], object] = lambda: None


def locked(
    bucket: Bucket,
    asked: Requirements,
    runtime: Mapping[str, Distribution],
    target: Target,
    variables: Callable[[], Mapping[str, str]],
) -> Locked:
    """The wheels for requirements, as first resolved for a month, but for what the job has for the runner.

    Args:
        bucket: Where servers agree.
        asked: What is asked for.
        runtime: What the job has, by normalised name.
        target: What they have to fit.
        variables: Makes what `index.variables` returns, where an index has to be asked.

    Raises:
        CannotPackError: There are none.
    """
    roots = tuple(line for line in asked.roots if not _is_there(line, runtime))
    if not roots:
        return Locked([])
    asked = dataclasses.replace(asked, roots=roots)
    place = _place(asked, runtime, target)
    key = f"{PREFIX}{_name(_content(asked, target))}.json"
    found = _remembered(place / _FILE)
    if found is not None:
        renew = partial(_renew, bucket, key, found, place / _FILE)
        return Locked(_besides(found, runtime), renew, partial(shutil.rmtree, place, ignore_errors=True))
    pins = _pins(bucket, key)
    wheels = _resolved(asked, pins or {}, runtime, target, variables())

    def keep() -> None:
        if pins is None:
            _remember_in_bucket(bucket, key, wheels, time.time())
        _remember(place, wheels)

    return Locked(_besides(wheels, runtime), keep)


def pinned(
    installed: Mapping[str, Distribution], target: Target, variables: Callable[[], Mapping[str, str]]
) -> list[Wheel]:
    """The wheels of packages in the versions that are installed here, without what they need; as found for a month.

    Args:
        installed: By their normalised names.
        target: What the wheels have to fit.
        variables: Makes what `index.variables` returns, where an index has to be asked.

    Raises:
        CannotPackError: There are none.
    """
    if not installed:
        return []
    lines = (f"{name}=={one.version}" for name, one in sorted(installed.items()))
    asked = Requirements(tuple(lines), is_whole=True)
    fingerprints = {name: fingerprint(one) for name, one in installed.items()}
    place = cache.directory() / _name({**_content(asked, target), "installed": fingerprints})
    found = _remembered(place / _FILE)
    if found is None:
        found = resolved(asked, (), target, variables())
        _remember(place, found)
    return found


def forget() -> None:
    """Has the index asked again for whatever is asked for. The objects below `PREFIX` have to be deleted besides."""
    for file in cache.directory().glob(f"*/{_FILE}"):
        shutil.rmtree(file.parent, ignore_errors=True)


def _besides(wheels: list[Wheel], runtime: Mapping[str, Distribution]) -> list[Wheel]:
    return [wheel for wheel in wheels if wheel.name not in runtime or wheel.version != runtime[wheel.name].version]


def _resolved(
    asked: Requirements,
    pins: Mapping[str, str],
    runtime: Mapping[str, Distribution],
    target: Target,
    variables: Mapping[str, str],
) -> list[Wheel]:
    same = [f"{name}=={one.version}" for name, one in runtime.items()]
    before = [f"{name}=={version}" for name, version in pins.items() if name not in runtime]
    # What the task asks for may be another version than the runner's, as long as Covalent can live with it.
    for constraints in ([*same, *before], same) if before else (same,):
        with suppress(NoSolutionError):
            return resolved(asked, constraints, target, variables)
    return resolved(asked, sorted(set(_needed(runtime))), target, variables)


def _needed(runtime: Mapping[str, Distribution]) -> Iterator[str]:
    """What the runner's packages demand of one another."""
    for one in runtime.values():
        for line in one.requires or ():
            requirement = Requirement(line)
            name = canonicalize_name(requirement.name)
            is_meant = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if is_meant and name in runtime and requirement.specifier:
                yield f"{name}{requirement.specifier}"


def _is_there(line: str, runtime: Mapping[str, Distribution]) -> bool:
    requirement = Requirement(line)
    found = runtime.get(canonicalize_name(requirement.name))
    return (
        found is not None and not requirement.extras and requirement.specifier.contains(found.version, prereleases=True)
    )


def _content(asked: Requirements, target: Target) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "target": target,
        "roots": asked.roots,
        "constraints": asked.constraints,
        "hashes": {name: sorted(hashes) for name, hashes in asked.hashes.items()},
    }


def _place(asked: Requirements, runtime: Mapping[str, Distribution], target: Target) -> Path:
    versions = {name: one.version for name, one in runtime.items()}
    return cache.directory() / _name({**_content(asked, target), "runtime": versions})


def _name(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _remembered(file: Path) -> list[Wheel] | None:
    try:
        if file.stat().st_mtime < time.time() - _KEPT_SECONDS:
            shutil.rmtree(file.parent, ignore_errors=True)
            return None
        return [Wheel(**wheel) for wheel in json.loads(file.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return None


def _remember(place: Path, wheels: list[Wheel]) -> None:
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = place / f"new-{time.time_ns()}"
    new.write_text(json.dumps([dataclasses.asdict(wheel) for wheel in wheels]), encoding="utf-8")
    new.rename(place / _FILE)


def _pins(bucket: Bucket, key: str) -> dict[str, str] | None:
    """The versions that another server found; None if none did within a month."""
    try:
        found = json.loads(asyncio.run(_read(bucket, key)))
        if found["at"] < time.time() - _KEPT_SECONDS:
            return None
        # Anything else than a name and a version could send uv somewhere.
        return {canonicalize_name(name, validate=True): str(Version(text)) for name, text in found["pins"].items()}
    except FileNotFoundError:
        return None
    except (ValueError, InvalidVersion, TypeError, KeyError, AttributeError, errors.AWSBatchError) as error:
        _log.warning("s3://%s/%s cannot be used: %s", bucket.name, key, type(error).__name__)
        return None


async def _read(bucket: Bucket, key: str) -> bytes:
    return await bucket.client.read(bucket.name, key)


async def _is_kept(bucket: Bucket, key: str) -> bool:
    return await bucket.client.keep(bucket.name, key)


def _renew(bucket: Bucket, key: str, wheels: list[Wheel], file: Path) -> None:
    """Writes again what a lifecycle rule has removed."""
    with suppress(errors.AWSBatchError):
        if not asyncio.run(_is_kept(bucket, key)):
            _remember_in_bucket(bucket, key, wheels, file.stat().st_mtime)


def _remember_in_bucket(bucket: Bucket, key: str, wheels: list[Wheel], at: float) -> None:
    pins = {wheel.name: wheel.version for wheel in wheels}
    with suppress(errors.AWSBatchError), bucket.client.writer(bucket.name, key, shared=True) as writer:
        writer.write(json.dumps({"at": int(at), "pins": pins}).encode())
