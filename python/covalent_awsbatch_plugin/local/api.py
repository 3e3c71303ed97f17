"""Makes moto usable by many threads: a lock, and patched responses."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import moto.logs.urls
from moto.core.responses import BaseResponse
from moto.logs.responses import LogsResponse

api_lock = threading.RLock()
"""Guards moto's Batch and CloudWatch Logs, and the state of every job.

Moto iterates over dictionaries without a lock: submitting a job while another thread describes jobs would cause an
internal error.
"""


class LockedLogsResponse(LogsResponse):
    """Moto's CloudWatch Logs, one call at a time."""

    def call_action(self) -> Any:
        """Answers one call."""
        with api_lock:
            return super().call_action()


@contextmanager
def patched_responses(urls: Any, response: type[BaseResponse], more: Iterable[str] = ()) -> Iterator[None]:
    """Replaces the response class of a service while the `with` block runs.

    Affects only servers that are started in the block, since moto reads the table when a server first needs it.

    Args:
        urls: The service's `moto.….urls` module.
        response: The class that answers instead, a subclass of moto's own.
        more: Paths that moto does not have.
    """
    original = dict(urls.url_paths)
    urls.url_paths.update(dict.fromkeys([*original, *more], response.dispatch))
    try:
        yield
    finally:
        urls.url_paths.clear()
        urls.url_paths.update(original)


@contextmanager
def locked_logs() -> Iterator[None]:
    """Has CloudWatch Logs answer under `api_lock` while the `with` block runs."""
    with patched_responses(moto.logs.urls, LockedLogsResponse):
        yield
