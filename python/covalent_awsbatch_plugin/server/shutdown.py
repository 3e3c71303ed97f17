"""Tells the end of the server from a user's cancellation: Covalent asks executors the same of both.

Covalent's server is uvicorn's, which stops in an orderly way at SIGINT, as `covalent stop` sends it, and at SIGTERM:
then all dispatches are cancelled. The signal's handler is a method of uvicorn's server, whose `should_exit` says that
it stops.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from . import presence, records, stops
from .records import Dispatch

_server: Any = None
_stops_since: datetime | None = None
_kept: set[str] = set()
_cancelled: dict[str, set[int]] = {}
"""Nodes that were cancelled by a user, by their dispatch."""

_resumed: set[str] = set()
"""Dispatches that this server goes on with, and those of their sublattices."""

_MOST_DISPATCHES = 256
_room = _MOST_DISPATCHES
"""Dispatches in `_cancelled` from which on those are forgotten that have ended."""

_log = logging.getLogger(__name__)


def is_server() -> bool:
    """Whether this process is a server. To be asked once while it does not stop, since its handler goes first."""
    global _server  # noqa: PLW0603
    if _server is None:
        owner = getattr(signal.getsignal(signal.SIGINT), "__self__", None)
        if hasattr(owner, "should_exit"):
            _server = owner
    return _server is not None


def is_stopping() -> bool:
    """Whether this process is a server that stops; see `is_server`."""
    global _stops_since  # noqa: PLW0603
    if not is_server() or not _server.should_exit:
        return False
    _stops_since = _stops_since or datetime.now(timezone.utc)
    return True


def note_cancellation(dispatch_id: str, node_id: int) -> None:
    """Note in a server that a user cancelled a task, also of a dispatch that none has gone on with yet; never raises.

    Waits for the database where a server was stopped before, and once in a while.

    Args:
        dispatch_id: Its dispatch.
        node_id: Its node.
    """
    if not is_server():
        return
    _cancelled.setdefault(dispatch_id, set()).add(node_id)
    try:
        if len(_cancelled) > _room:
            _forget_ended()
        if stops.dispatches() and (dispatches := records.family_now(dispatch_id)) and stops.read(dispatches[0].id):
            stops.note(dispatches[0].id, {(dispatch_id, node_id)})
    except Exception:  # noqa: BLE001
        _log.exception("Electron %s of dispatch %s goes on when it is resumed", node_id, dispatch_id)


def note_resumed(dispatches: Iterable[Dispatch]) -> None:
    """Note what a user had cancelled of dispatches that this server goes on with, before it submits any of their tasks.

    Args:
        dispatches: As the database has them after what the end of the server before had cancelled was taken back.
    """
    for dispatch in dispatches:
        requested = {node.id for node in dispatch.nodes.values() if node.is_cancel_requested and not node.has_ended}
        if requested:
            _cancelled.setdefault(dispatch.id, set()).update(requested)
        _resumed.add(dispatch.id)


def keep(dispatch_id: str, node_id: int) -> bool:
    """Have a dispatch go on after the end of this server, which asks for its cancellation. Waits for the database.

    To be called while `is_stopping`.

    Args:
        dispatch_id: The dispatch.
        node_id: The node whose executor was asked to cancel it.

    Returns:
        Whether the node goes on: unless a user had cancelled it.
    """
    if node_id in _cancelled.get(dispatch_id, ()):
        return False
    if dispatch_id not in _kept:
        _kept.add(dispatch_id)
        try:
            dispatches = records.family_now(dispatch_id)
        except Exception:  # noqa: BLE001
            _log.exception("Dispatch %s will be cancelled when it is resumed", dispatch_id)
        else:
            _kept.update(dispatch.id for dispatch in dispatches)
            root = dispatches[0].id
            of = _noted if stops.read(root) else _cancelled_of
            cancelled = ((dispatch.id, node) for dispatch in dispatches for node in of(dispatch))
            stops.note(root, cancelled, _stops_since)
    return True


def _noted(dispatch: Dispatch) -> set[int]:
    """Nodes of a dispatch that this server knows a user to have cancelled."""
    return _cancelled.get(dispatch.id, set())


def _cancelled_of(dispatch: Dispatch) -> set[int]:
    """Nodes of a dispatch that were cancelled by a user, where no server has stopped since one went on with it.

    The database has that of a task with a job, and the same of a task that was about to begin when its server stopped.
    So it is trusted only where this server has begun none.
    """
    if dispatch.id in _resumed or dispatch.begun_at >= presence.BEGAN:
        return _noted(dispatch)
    accepted = {node.id for node in dispatch.nodes.values() if node.is_cancel_accepted and not node.has_ended}
    return _noted(dispatch) | accepted


def _forget_ended() -> None:
    """Forget the dispatches that have ended: what was cancelled of them needs not be known any more."""
    global _room  # noqa: PLW0603
    for dispatch_id in records.ended_now(_cancelled):
        del _cancelled[dispatch_id]
    _room = max(_MOST_DISPATCHES, 2 * len(_cancelled))
