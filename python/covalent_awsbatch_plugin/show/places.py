"""Where environments are kept, as the commands see it. Another kind of place needs a class with the same methods."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.environment import runtime, store
from covalent_awsbatch_plugin.environment.distributions import CannotPackError
from covalent_awsbatch_plugin.environment.packages import locked
from covalent_awsbatch_plugin.environment.store import Environment, Watch
from covalent_awsbatch_plugin.environment.stored import PREFIX, Stored, delete, stored


@dataclass(frozen=True)
class Bucket:
    """The bucket of an executor.

    Attributes:
        client: Connection to use.
        bucket: Its name.
    """

    client: Client
    bucket: str

    @property
    def name(self) -> str:
        """How it is named to people."""
        return f"s3://{self.bucket}/{PREFIX}"

    def make(self, watch: Watch, *, anew: bool) -> Environment:
        """Makes the environment of this machine and brings it there.

        Args:
            watch: Is told of it.
            anew: Whatever is there already. Packages of functions are then looked for in the index again.

        Raises:
            CannotPackError: One of the packages cannot be packed.
            OSError: The cache cannot be written to.
            AWSBatchError: The bucket cannot be written to.
        """
        if anew:
            asyncio.run(self._forget_versions())
        return store.make(self.client, self.bucket, watch, anew=anew)

    async def stored(self) -> tuple[list[Stored], bool]:
        """What is there, and whether all is there that a task of this machine needs for the runner.

        Returns:
            The objects, last used first; and whether they are all.

        Raises:
            AWSBatchError: The bucket cannot be listed.
        """
        try:
            used, parts = runtime.in_use()
        except CannotPackError:  # so none is in use here
            used, parts = set(), 1
        found = await stored(self.client, self.bucket, used)
        return found, sum(one.in_use for one in found) == parts

    async def delete(self, objects: list[Stored]) -> None:
        """Deletes objects.

        Raises:
            AWSBatchError: One of them could not be deleted.
        """
        await delete(self.client, self.bucket, [one.key for one in objects])

    async def _forget_versions(self) -> None:
        locked.forget()
        keys = [one["key"] for one in await self.client.list_objects(self.bucket, locked.PREFIX)]
        await delete(self.client, self.bucket, keys)
