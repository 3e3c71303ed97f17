"""The signals between the container's agent, the supervisor and the worker."""

from __future__ import annotations

import signal

ORDERS = {signal.SIGTERM, signal.SIGINT}
"""What the supervisor is asked to end by."""

TERMINATION = getattr(signal, "SIGRTMAX", signal.SIGUSR2)
"""What it passes on to the worker instead: a handler for it, which forked children inherit, is in nobody's way."""
