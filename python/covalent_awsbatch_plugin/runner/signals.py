"""The signals between the container's agent, the supervisor and the worker."""

from __future__ import annotations

import signal

_LAST: int | None = getattr(signal, "SIGRTMAX", None)

TERMINATION_SIGNALS = {signal.SIGTERM, signal.SIGINT}
"""Signals that ask the supervisor to end."""

WORKER_NOTICE = signal.SIGUSR1 if _LAST is None else _LAST - 1
"""The signal by which it passes on that the machine is to be taken back."""

WORKER_TERMINATION = getattr(signal, "SIGRTMAX", signal.SIGUSR2)
"""The signal that it sends to the worker instead: forked children inherit its handler, which must not be SIGTERM's."""
