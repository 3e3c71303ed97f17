"""Has a Covalent server that has just started go on with what an earlier one left."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from . import presence  # noqa: F401  (notes when this process began)

_START_SECONDS = 120.0
"""Seconds that the server may take until it answers."""

_log = logging.getLogger(__name__)


def resume_left(is_wanted: Callable[[], bool]) -> None:
    """Resume all dispatches that an earlier server left, in a thread, if this process is a server that starts.

    Args:
        is_wanted: Whether to do so; asked in a server only.
    """
    if Path(sys.argv[0]).parts[-2:] == ("covalent_ui", "app.py") and is_wanted():
        threading.Thread(target=_resume_left, name="awsbatch-resume", daemon=True).start()


def _resume_left() -> None:
    from . import recovery
    from .api import ServerUnreachableError

    try:
        for answer in recovery.resume_all(_unended()):
            _log.info("%s", answer)
    except ServerUnreachableError as error:
        _log.warning("Dispatches of an earlier server were not resumed: %s", error)
    except Exception:  # noqa: BLE001
        _log.exception("Dispatches of an earlier server were not resumed")


def _unended() -> list[str]:
    """What may have been left, as soon as the server answers."""
    from . import recovery
    from .api import ServerUnreachableError

    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(ServerUnreachableError):
            return recovery.unended()
        time.sleep(0.5)
    return recovery.unended()
