"""The other nodes of a job, for whose results the main node waits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from . import node

if TYPE_CHECKING:
    from covalent_awsbatch_plugin._core import Client

_PAUSE_SECONDS, _LOOKS_A_SECOND = 1.0, 20.0


class OtherNodes:
    """What the other nodes leave in this attempt.

    Args:
        client: Connection to S3.
        bucket: Where they leave it.
        task_key: Key of the task's result.
    """

    def __init__(self, client: Client, bucket: str, task_key: str) -> None:
        self._client = client
        self._bucket = bucket
        self._left = {number: node.result_key(task_key, number) for number in range(1, node.count())}

    @property
    def pause(self) -> float:
        """Seconds between two looks; more where there are many to look for."""
        return max(_PAUSE_SECONDS, len(self._left) / _LOOKS_A_SECOND)

    def missing(self) -> int:
        """Looks for those that have not been found, and returns how many are still missing.

        Raises:
            NodeError: One of them left that it failed.
        """
        for number, key in list(self._left.items()):
            found = asyncio.run(self._found(key))
            if found is None:
                continue
            if found["status"] != "succeeded":
                raise NodeError(number, found)
            del self._left[number]
        return len(self._left)

    async def _found(self, key: str) -> Any:
        try:
            return await self._client.stored_result(self._bucket, key)
        except PermissionError:  # what is missing looks denied without the right to list
            return None


class NodeError(Exception):
    """A node did not return.

    Args:
        number: The node.
        found: What it left.
    """

    def __init__(self, number: int, found: dict[str, Any]) -> None:
        super().__init__(f"{found['traceback'] or 'It was ended.'}\nThat was node {number} of this job.")
        self.exception = found["exception"]
