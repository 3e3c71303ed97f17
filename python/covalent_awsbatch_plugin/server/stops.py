"""Dispatches that were under way when a server stopped, as files beside Covalent's cache.

A server that stops asks every executor to cancel everything, and what it is at is cut off. So some electrons and
dispatches end as CANCELLED or FAILED then that are to go on. Of each dispatch a file says when that was, and what a
user had cancelled before.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from . import presence

_SUFFIX = ".stopped"
_ID = re.compile(r"[\w-]{1,100}", re.ASCII)
"""What a dispatch's id may be: its client chooses it."""

_BEFORE = timedelta(seconds=1)
"""The server's end begins before an executor is told of it."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stop:
    """The end of a server that was stopped.

    Attributes:
        at: When it began.
        cancelled: Tasks that a user had cancelled: dispatch and node.
    """

    at: datetime
    cancelled: frozenset[tuple[str, int]]


def note(dispatch_id: str, cancelled: Iterable[tuple[str, int]], since: datetime | None = None) -> None:
    """Note that this server stops, and a dispatch is to go on.

    Args:
        dispatch_id: The whole dispatch, none of its sublattices.
        cancelled: Tasks that a user had cancelled: dispatch and node.
        since: When the server was first seen to stop; now if it is not known.
    """
    earlier = read(dispatch_id)
    at = (since or datetime.now(timezone.utc)) - _BEFORE
    content = {
        "at": (min(earlier.at, at) if earlier else at).isoformat(),
        "cancelled": sorted({*cancelled, *(earlier.cancelled if earlier else ())}),
    }
    path = _path(dispatch_id)
    if path is None:
        return
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(json.dumps(content), encoding="utf-8")
    except OSError as error:
        _log.warning("Dispatch %s will be cancelled when it is resumed: %s", dispatch_id, error)


def read(dispatch_id: str) -> Stop | None:
    """The end of the server that ran a dispatch last, if it was stopped.

    Args:
        dispatch_id: The whole dispatch.
    """
    path = _path(dispatch_id)
    if path is None or not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        cancelled = frozenset((str(dispatch), int(node)) for dispatch, node in content["cancelled"])
        return Stop(datetime.fromisoformat(content["at"]), cancelled)
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.warning("%s tells nothing: %s", path, error)
        return None


def forget(dispatch_id: str) -> None:
    """Forget the end of the server that ran a dispatch, when another one goes on with it.

    Args:
        dispatch_id: The whole dispatch.
    """
    if path := _path(dispatch_id):
        path.unlink(missing_ok=True)


def dispatches() -> list[str]:
    """Ids of all dispatches that were under way when a server stopped, and that none has gone on with."""
    return sorted(path.stem for path in presence.directory().glob(f"*{_SUFFIX}"))


def _path(dispatch_id: str) -> Path | None:
    return presence.directory() / f"{dispatch_id}{_SUFFIX}" if _ID.fullmatch(dispatch_id) else None
