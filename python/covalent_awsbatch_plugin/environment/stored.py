"""Environments as a bucket has them: what is said of an object when it is uploaded, and read again from a listing."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from covalent_awsbatch_plugin._core import Client

PREFIX = "environments/"
# What has another name was not written by this package.
_NAME = re.compile(PREFIX + r"[a-z0-9]+-[0-9a-f]{64}(\.[a-z0-9]+)*")
# Objects that one call deletes.
_MOST_DELETED = 1000


@dataclass(frozen=True)
class Stored:
    """An object of an environment.

    Attributes:
        key: Its key, which holds the hash of its content.
        size: Bytes.
        used_at: When it was last in use, in seconds since 1970, to a day: an object in use is renewed daily.
        packages: How many packages it holds; None if it does not say.
        python: Minor version of Python that it is for; empty if it does not say.
        version: The version of this package that made it; empty if it does not say.
        in_use: Whether tasks of this machine use it for the runner. Of the packages of functions it cannot be told.
    """

    key: str
    size: int
    used_at: int
    packages: int | None
    python: str
    version: str
    in_use: bool


def description(packages: int, python: str) -> dict[str, str]:
    """S3 user metadata of an object.

    Args:
        packages: How many packages it holds.
        python: Minor version of Python that it is for.
    """
    version = importlib.metadata.version("covalent-awsbatch-plugin")
    return {"packages": str(packages), "python": python, "version": version}


async def stored(client: Client, bucket: str, used: Collection[str]) -> list[Stored]:
    """The objects of all environments in a bucket, those that were in use last first.

    Args:
        client: Connection to use.
        bucket: Name of the bucket.
        used: Keys of those that tasks of this machine use.

    Raises:
        AWSBatchError: The bucket cannot be listed.
    """
    found = [one for one in await client.list_objects(bucket, PREFIX) if _NAME.fullmatch(one["key"])]
    objects = [
        Stored(
            one["key"],
            one["size"],
            one["modified_at"],
            _number(one["metadata"].get("packages", "")),
            one["metadata"].get("python", ""),
            one["metadata"].get("version", ""),
            one["key"] in used,
        )
        for one in found
    ]
    return sorted(objects, key=lambda one: (-one.used_at, one.key))


async def delete(client: Client, bucket: str, keys: Sequence[str]) -> None:
    """Deletes objects.

    Args:
        client: Connection to use.
        bucket: Name of the bucket.
        keys: Of the objects.

    Raises:
        AWSBatchError: One of them could not be deleted.
    """
    for first in range(0, len(keys), _MOST_DELETED):
        await client.delete(bucket, list(keys[first : first + _MOST_DELETED]))


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else None
