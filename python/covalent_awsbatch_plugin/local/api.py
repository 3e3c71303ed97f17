"""What keeps moto's answers whole while many threads ask: one lock, and one change to a module for a while."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import moto.logs.urls
from moto.core.responses import BaseResponse
from moto.logs.responses import LogsResponse

api_lock = threading.RLock()
"""Guards moto's Batch and CloudWatch Logs, and the state of every job.

Moto walks through dictionaries without a lock of its own; a job that is submitted while another thread describes jobs
would make it answer with an internal error.
"""


class LockedLogsResponse(LogsResponse):
    """Moto's CloudWatch Logs, one call at a time."""

    def call_action(self) -> Any:
        """Answers one call."""
        with api_lock:
            return super().call_action()


@contextmanager
def answered_by(urls: Any, response: type[BaseResponse]) -> Iterator[None]:
    """Has a service's calls answered by another class while the `with` block runs.

    Only servers that are started in the block are concerned, since moto reads the table when a server first needs it.

    Args:
        urls: The service's `moto.….urls` module.
        response: The class that answers instead, a subclass of moto's own.
    """
    original = dict(urls.url_paths)
    urls.url_paths.update(dict.fromkeys(original, response.dispatch))
    try:
        yield
    finally:
        urls.url_paths.update(original)


@contextmanager
def locked_logs() -> Iterator[None]:
    """Has CloudWatch Logs answer under `api_lock` while the `with` block runs."""
    with answered_by(moto.logs.urls, LockedLogsResponse):
        yield
