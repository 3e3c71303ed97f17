"""The core's clients of this process, shared by all executors with the same account, region and endpoint."""

from __future__ import annotations

import os
from collections.abc import Mapping

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.options.settings import Settings

_clients: dict[tuple[int | str, ...], Client] = {}
_identities: dict[Client, Mapping[str, str]] = {}


def client(settings: Settings, interactive: bool = False) -> Client:
    """The client for these settings: the same one for every task, so that they share connections and one watcher.

    Executors that differ in what they demand of their bucket still share them.

    A forked process gets clients of its own, since connections and threads stay with its parent.

    Args:
        settings: Whose `profile`, `region`, `credentials` and `endpoint_url` count, and for S3 `s3_bucket_owner` and
            `s3_kms_key_id`.
        interactive: Whether a person waits for a command: hosts that do not answer are called once, and all of them
            together take at most 10 s. A task's client waits and retries.
    """
    connection = (os.getpid(), settings.connection(interactive))
    if connection not in _clients:
        _clients[connection] = Client(connection[1])
    bucket = (settings.s3_bucket_owner, settings.s3_kms_key_id)
    if bucket == ("", ""):
        return _clients[connection]
    both = (*connection, *bucket)
    if both not in _clients:
        _clients[both] = _clients[connection].for_bucket(*bucket)
    return _clients[both]


async def identity(settings: Settings) -> Mapping[str, str]:
    """The caller's identity, fetched once per client.

    Args:
        settings: As for `client`.

    Returns:
        `Account`, `Arn` and `UserId`.

    Raises:
        AccessError: AWS does not accept the credentials, or there are none.
    """
    connection = client(settings)
    if connection not in _identities:
        _identities[connection] = await connection.identity()
    return _identities[connection]
