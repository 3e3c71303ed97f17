"""Where environments are kept, as the commands see it. Another kind of place needs a class with the same methods."""

from __future__ import annotations

from dataclasses import dataclass

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.environment import prepare
from covalent_awsbatch_plugin.environment.distributions import CannotPackError
from covalent_awsbatch_plugin.environment.prepare import Environment, Watch
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

    @property
    def parts(self) -> int:
        """How many objects the environment of this machine has; 0 if it cannot be made."""
        try:
            return len(prepare.groups())
        except CannotPackError:
            return 0

    def make(self, watch: Watch, *, anew: bool) -> Environment:
        """Makes the environment of this machine and brings it there.

        Args:
            watch: Is told of it.
            anew: Whatever is there already.

        Raises:
            CannotPackError: One of the packages cannot be packed.
            OSError: The cache cannot be written to.
            AWSBatchError: The bucket cannot be written to.
        """
        return prepare.make(self.client, self.bucket, watch, anew=anew)

    async def stored(self) -> list[Stored]:
        """What is there, last used first.

        Raises:
            AWSBatchError: The bucket cannot be listed.
        """
        try:
            used = prepare.in_use()
        except CannotPackError:  # so none is in use here
            used = set()
        return await stored(self.client, self.bucket, used)

    async def delete(self, objects: list[Stored]) -> None:
        """Deletes objects.

        Raises:
            AWSBatchError: One of them could not be deleted.
        """
        await delete(self.client, self.bucket, objects)
