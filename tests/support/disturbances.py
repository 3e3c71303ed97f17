"""What goes wrong between a server and AWS, one kind after the other, each for a while."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from lab import Lab, faults
from lab.faults import Fault

from .proxy import Proxy
from .schedule import Event

_HOUR = 3600.0


class Disturbances:
    """The way from a server to AWS.

    Args:
        lab: Stands in for AWS.
        proxy: In front of it.
        usual: Faults of the laboratory that strike all the time.
    """

    def __init__(self, lab: Lab, proxy: Proxy, usual: list[Fault]) -> None:
        self._lab = lab
        self._proxy = proxy
        self._usual = usual
        self._clock(0.0)

    def endure(self, events: tuple[Event, ...]) -> None:
        """Has the events happen, and returns when all is well again."""
        for event in events:
            time.sleep(event.after)
            if event.kind == "pause_aws":
                paused(self._lab.pid, event.seconds)
                continue
            with self._disturbance(event):
                time.sleep(event.seconds)

    def clear(self) -> None:
        """Has no call fail any more."""
        self._usual = []
        self._clock(0.0)

    def _disturbance(self, event: Event) -> AbstractContextManager[None]:
        kinds = {
            "partition": self._proxy.stalled,
            "resets": self._proxy.resetting,
            "bandwidth": lambda: self._proxy.bandwidth(2000 + 6000 * event.choice),
            "latency": lambda: self._proxy.latency(0.2 + 0.6 * event.choice),
            "clock": lambda: self._skewed(_HOUR if event.choice < 0.5 else -_HOUR),
        }
        return kinds[event.kind]()

    @contextmanager
    def _skewed(self, seconds: float) -> Iterator[None]:
        self._clock(seconds)
        try:
            yield
        finally:
            self._clock(0.0)

    def _clock(self, seconds: float) -> None:
        # The laboratory looks at dates all the time, as AWS does, and its clock is never quite the other's.
        self._lab.faults(*self._usual, faults.skewed(seconds + 1.0))


def paused(pid: int, seconds: float) -> None:
    """Stops a process for a while; it goes on even if the process that asked for this has ended meanwhile."""
    script = 'kill -STOP "$0" && sleep "$1"; kill -CONT "$0"'
    subprocess.run(["sh", "-c", script, str(pid), str(seconds)], check=True, start_new_session=True)
