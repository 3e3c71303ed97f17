"""Which dispatches a living process of this home waits for.

A Covalent server that was killed says of its dispatches for ever that they are RUNNING, and starting it again changes
nothing: what waits for a job is a coroutine of one process. So each process notes the dispatches that it waits for in a
file beside Covalent's cache, and holds a lock on the file that the system takes away when the process ends, however it
ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time
import uuid
from pathlib import Path
from typing import NamedTuple, TextIO

_KEPT = 30 * 24 * 3600.0
"""Seconds for which the notes of a process that ended are kept; its jobs are long over by then."""

_log = logging.getLogger(__name__)


class Waiting(NamedTuple):
    """Dispatches that processes of this home began to wait for.

    Attributes:
        living: Those of processes that live.
        dead: Those of processes that ended, some of which may be among the living ones' too.
    """

    living: frozenset[str]
    dead: frozenset[str]


class _Notes:
    """The dispatches of this process, in memory and in its file.

    The file stays open: closing any descriptor of it would release the lock.
    """

    def __init__(self) -> None:
        self.dispatches: set[str] = set()
        self.path = _directory() / f"{uuid.uuid4().hex}.dispatches"
        self._file: TextIO | None = None
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.touch(mode=0o600, exist_ok=False)
            self._file = self.path.open("a", encoding="utf-8", errors="backslashreplace")
            # Not flock(), which a forked child would inherit and hold on to.
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file = None
            _log.warning("Jobs that this process may leave behind will not be recognised as such: %s", error)

    def add(self, dispatch_id: str) -> None:
        if dispatch_id in self.dispatches:
            return
        self.dispatches.add(dispatch_id)
        if self._file is None:
            return
        try:
            self._file.write(f"{dispatch_id}\n")
            self._file.flush()
        except OSError as error:
            _log.warning("Dispatch %s could not be noted in %s: %s", dispatch_id, self.path, error)


# By process, for a forked one waits for nothing of its parent's.
_own: dict[int, _Notes] = {}


def note(dispatch_id: str) -> None:
    """Note that this process waits for jobs of a dispatch; to be called before the first of them is submitted.

    Never raises: a job is worth more than the note about it.

    Args:
        dispatch_id: The dispatch.
    """
    own = _own.get(os.getpid())
    if own is None:
        own = _own.setdefault(os.getpid(), _Notes())
        _forget_old(own.path)
    own.add(str(dispatch_id))


def waiting() -> Waiting:
    """Read what the processes of this home have noted."""
    living: set[str] = set()
    dead: set[str] = set()
    own = _own.get(os.getpid())
    for path in _directory().glob("*.dispatches"):
        if own is not None and path == own.path:
            living |= own.dispatches
            continue
        try:
            # For an exclusive lock it must be open for writing.
            with path.open("r+", encoding="utf-8", errors="replace") as file:
                (dead if _is_free(file) else living).update(file.read().split())
        except OSError as error:
            _log.debug("%s tells nothing: %s", path, error)
    return Waiting(frozenset(living), frozenset(dead))


def _forget_old(own: Path) -> None:
    for path in _directory().glob("*.dispatches"):
        with contextlib.suppress(OSError):
            if path != own and time.time() - path.stat().st_mtime > _KEPT:
                with path.open("r+", encoding="utf-8") as file:
                    if _is_free(file):
                        path.unlink()


def _is_free(file: TextIO) -> bool:
    """Whether surely nobody holds the lock of a file, which is then ours until the file is closed."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _directory() -> Path:
    from covalent._shared_files.config import get_config

    return Path(get_config("dispatcher.cache_dir")) / "awsbatch"
