"""What Covalent keeps of an electron's output while it runs.

Covalent 0.240 and 0.241 store an electron's streams at its end, and take them before, too; `covalent.get_result` then
shows them. This rests on a private module of Covalent's: where that is missing, nothing is shown before the end.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

from . import shutdown

_MODULE = "covalent_dispatcher._core.data_modules.electron"

WAITS = "Waiting for the environment: "
"""Begins the line on the error stream of an electron that waits until its job's environment is made."""

_log = logging.getLogger(__name__)


def is_shown() -> bool:
    """Whether this process is Covalent's server; a program that only imports some of it is not."""
    return shutdown.is_server() and hasattr(_electrons(), "update")


async def show(dispatch_id: str, node_id: int, stdout: str, stderr: str) -> None:
    """Store what an electron that runs has printed so far. Never raises.

    Args:
        dispatch_id: Its dispatch.
        node_id: Its node.
        stdout: Its standard output; replaces what was stored.
        stderr: The same of its standard error.
    """
    try:
        await _electrons().update(dispatch_id, {"node_id": node_id, "stdout": stdout, "stderr": stderr})
    except Exception as error:  # noqa: BLE001  (it is shown at its end all the same)
        _log.debug("The output of node %s of %s is not shown while it runs: %r", node_id, dispatch_id, error)


def waits_for(stderr: str) -> str:
    """What is being done for an electron that waits so; empty if it does not.

    Args:
        stderr: What Covalent has of its standard error.
    """
    return stderr.rpartition(WAITS)[2].rpartition(" (")[0] if WAITS in stderr else ""


def _electrons() -> Any:
    # Imported by the server itself, before it runs anything; elsewhere an import would make a database.
    return sys.modules.get(_MODULE)
