"""The signals between the container's agent, the supervisor and the worker."""

from __future__ import annotations

import signal

TERMINATION_SIGNALS = {signal.SIGTERM, signal.SIGINT}
"""Signals that ask the supervisor to end."""

WORKER_TERMINATION = getattr(signal, "SIGRTMAX", signal.SIGUSR2)
"""The signal that it sends to the worker instead: forked children inherit its handler, which must not be SIGTERM's."""
