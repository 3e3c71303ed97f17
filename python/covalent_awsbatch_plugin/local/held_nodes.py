"""Nodes that are held back: AWS has no machine for them, or cannot start their container, while their job runs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from moto.batch.utils import JobStatus

from .api import api_lock

if TYPE_CHECKING:
    from .job import LocalJob

_LOOK_SECONDS = 0.1


class HeldNodes:
    """Which nodes of all jobs are held back, and in which state."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[JobStatus, str | None]] = {}
        self._changed = threading.Condition(api_lock)

    def hold(self, number: int, status: JobStatus, reason: str | None) -> None:
        """Holds back the nodes of a number that have not begun yet.

        Args:
            number: The number of a node in its job; not the main one.
            status: What DescribeJobs is to say of them: RUNNABLE or STARTING.
            reason: Their `statusReason`.
        """
        with self._changed:
            self._held[number] = status, reason

    def release(self, number: int) -> None:
        """Lets the nodes of a number begin."""
        with self._changed:
            self._held.pop(number, None)
            self._changed.notify_all()

    def wait_until_free(self, node: LocalJob, number: int) -> bool:
        """Waits as long as a node is held back. One that is ended meanwhile has never begun.

        Args:
            node: The node.
            number: Its number in its job.

        Returns:
            Whether it is to begin.
        """
        with self._changed:
            is_held = number in self._held
            while number in self._held and node.end_reason is None:
                node.status, node.status_reason = self._held[number]
                self._changed.wait(_LOOK_SECONDS)  # whether it was ended
            if is_held and node.end_reason is not None:
                node.end(False, node.end_reason)
                return False
            return True
