"""Where environments are kept, as the commands see it: a bucket, or a repository of images."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.environment import bake, platforms, runtime, store
from covalent_awsbatch_plugin.environment.cache import Packed
from covalent_awsbatch_plugin.environment.distributions import CannotPackError
from covalent_awsbatch_plugin.environment.image import CannotBakeError
from covalent_awsbatch_plugin.environment.packages import locked
from covalent_awsbatch_plugin.environment.store import Environment, Watch
from covalent_awsbatch_plugin.environment.stored import PREFIX, Stored, delete, stored
from covalent_awsbatch_plugin.options.settings import Settings


class Place(Protocol):
    """Where environments are kept."""

    @property
    def name(self) -> str:
        """How it is named to people."""

    def make(self, watch: Watch, *, anew: bool) -> Environment:
        """Makes the environment of this machine and brings it there.

        Args:
            watch: Is told of it.
            anew: Whatever is there already. Packages of functions are then looked for in the index again.

        Raises:
            CannotPackError: One of the packages cannot be packed.
            CannotBakeError: No image can be made.
            OSError: The cache cannot be written to.
            AWSBatchError: The place cannot be written to.
        """

    async def stored(self) -> tuple[list[Stored], bool]:
        """What is there, and whether all is there that a task of this machine needs for the runner.

        Returns:
            The objects, last used first; and whether they are all.

        Raises:
            AWSBatchError: It cannot be listed.
        """

    async def delete(self, objects: list[Stored]) -> None:
        """Deletes objects.

        Raises:
            AWSBatchError: One of them could not be deleted.
        """


def _in_use(machine: str) -> list[Packed]:
    try:
        return runtime.found(machine)
    except CannotPackError:  # so none is in use here
        return []


@dataclass(frozen=True)
class Bucket:
    """The bucket of an executor; see `Place`.

    Attributes:
        client: Connection to use.
        bucket: Its name.
        machine: The processor of its jobs, as `platforms.machine` says.
    """

    client: Client
    bucket: str
    machine: str

    @property
    def name(self) -> str:
        """How it is named to people."""
        return f"s3://{self.bucket}/{PREFIX}"

    def make(self, watch: Watch, *, anew: bool) -> Environment:
        """See `Place`."""
        if anew:
            asyncio.run(self._forget_versions())
        return store.make(self.client, self.bucket, self.machine, watch, anew=anew)

    async def stored(self) -> tuple[list[Stored], bool]:
        """See `Place`."""
        used = _in_use(self.machine)
        found = await stored(self.client, self.bucket, [one.key for one in used])
        return found, bool(used) and sum(one.in_use for one in found) == len(used)

    async def delete(self, objects: list[Stored]) -> None:
        """See `Place`."""
        await delete(self.client, self.bucket, [one.key for one in objects])

    async def _forget_versions(self) -> None:
        locked.forget()
        keys = [one["key"] for one in await self.client.list_objects(self.bucket, locked.PREFIX)]
        await delete(self.client, self.bucket, keys)


@dataclass(frozen=True)
class Repository:
    """The ECR repository of an executor, with images of environments; see `Place`.

    Attributes:
        client: Connection to use.
        settings: Whose `ecr_repo_name` it is, and whose `image` the base.
    """

    client: Client
    settings: Settings

    @property
    def name(self) -> str:
        """How it is named to people."""
        return f"the ECR repository {self.settings.ecr_repo_name}"

    def make(self, watch: Watch, *, anew: bool) -> Environment:
        """See `Place`. An image that is there is deleted before it is made anew, on the base as it is now."""
        made = store.pack(platforms.machine(self.settings), watch, anew=anew)
        if anew:
            asyncio.run(self._delete([bake.tag_of(self.settings, made)]))
        watch.baking()
        return replace(made, image=asyncio.run(bake.bake(self.settings, self.client, made)))

    async def stored(self) -> tuple[list[Stored], bool]:
        """See `Place`."""
        used = self._tag_in_use()
        found = [
            Stored(
                key=one.tag,
                size=one.bytes,
                used_at=int(max(one.pushed_at or 0, one.pulled_at or 0)),
                packages=one.packages,
                python=one.python,
                version="",
                in_use=one.tag == used,
            )
            for one in await bake.list_images(self.settings, self.client)
        ]
        return sorted(found, key=lambda one: -one.used_at), any(one.in_use for one in found)

    async def delete(self, objects: list[Stored]) -> None:
        """See `Place`."""
        await self._delete([one.key for one in objects])

    async def _delete(self, tags: Collection[str]) -> None:
        images = await bake.list_images(self.settings, self.client)
        if selected := [one for one in images if one.tag in tags]:
            await bake.prune_images(self.settings, self.client, selected)

    def _tag_in_use(self) -> str:
        """Of the image without packages of a function: which those are, no command knows."""
        machine = platforms.machine(self.settings)
        used = _in_use(machine)
        if not used or not all(one.key for one in used):
            return ""
        with suppress(CannotBakeError):
            return bake.tag_of(self.settings, store.environment(used, machine))
        return ""
