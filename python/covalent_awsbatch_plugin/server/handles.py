"""Tasks that an earlier server had begun, and the jobs that it told Covalent of: `run` takes them up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

_begun: dict[tuple[str, int], str] = {}


class Begun(NamedTuple):
    """A task that an earlier server had begun.

    Attributes:
        job_id: Its job; empty if there is none, or the server ended before it was told.
    """

    job_id: str


def expect(dispatch_id: str, node_id: int, job_id: str) -> None:
    """Note a task that an earlier server had begun, before it is run again.

    Args:
        dispatch_id: Its dispatch.
        node_id: Its node.
        job_id: Its job; empty if none is known.
    """
    _begun[dispatch_id, node_id] = job_id


def take(task_metadata: Mapping[str, Any]) -> Begun | None:
    """What is known of a task that an earlier server had begun, once; None for any other task.

    Args:
        task_metadata: `dispatch_id` and `node_id`.
    """
    job_id = _begun.pop((task_metadata["dispatch_id"], task_metadata["node_id"]), None)
    return None if job_id is None else Begun(job_id)
