"""The core's clients of this process, shared by all executors with the same account, region and endpoint."""

from __future__ import annotations

import os

from ._core import Client
from .settings import Settings

_clients: dict[tuple[int, str], Client] = {}


def client(settings: Settings) -> Client:
    """The client for these settings: the same one for every task, so that they share connections and one watcher.

    A forked process gets clients of its own, since connections and threads stay with its parent.

    Args:
        settings: Whose `profile`, `region`, `credentials` and `endpoint_url` count.
    """
    key = (os.getpid(), settings.connection())
    if key not in _clients:
        _clients[key] = Client(key[1])
    return _clients[key]
