"""The laboratory's time, which can be moved on."""

from __future__ import annotations

import time


class Clock:
    """Seconds that never go backwards, and the date that belongs to them."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self._beginning = time.time() - time.monotonic()

    def now(self) -> float:
        """Seconds since some moment."""
        return time.monotonic() + self._ahead

    def date(self, moment: float) -> float:
        """Seconds since 1970 of a moment."""
        return self._beginning + moment

    def advance(self, seconds: float) -> None:
        """Lets time pass."""
        self._ahead += seconds
