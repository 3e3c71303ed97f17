"""Records which dispatches the processes of this home wait for.

After a Covalent server was killed, its dispatches stay RUNNING for ever, also when it is started again: a job is
awaited by a coroutine of one process. So each process appends the dispatches that it waits for to a file beside
Covalent's cache, and holds a lock on it, which the system releases when the process ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time
import uuid
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple, TextIO

BEGAN = datetime.now(timezone.utc)
"""When this process began, if it is a server: this is imported before it takes a dispatch. What the system says of the
start of a process is up to a second early."""

_RETENTION_SECONDS = 30 * 24 * 3600.0
"""Seconds for which the file of an ended process is kept; its jobs have ended long before."""

_log = logging.getLogger(__name__)


class Waiting(NamedTuple):
    """Dispatches that processes of this home began to wait for.

    Attributes:
        living: Those of live processes.
        dead: Those of ended processes. A live process may wait for the same dispatch again.
    """

    living: frozenset[str]
    dead: frozenset[str]


class _DispatchFile:
    """The dispatches of this process, in memory and in its locked file.

    The file stays open: closing any of its descriptors would release the lock.
    """

    def __init__(self) -> None:
        self.dispatches: set[str] = set()
        self.path = directory() / f"{uuid.uuid4().hex}.dispatches"
        self._file: TextIO | None = None
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.touch(mode=0o600, exist_ok=False)
            self._file = self.path.open("a", encoding="utf-8", errors="backslashreplace")
            # Not flock(), whose lock a forked child would inherit and keep.
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


# By process id: a forked process does not wait for its parent's jobs.
_files_by_pid: dict[int, _DispatchFile] = {}


def note(dispatch_id: str) -> None:
    """Record that this process waits for jobs of a dispatch; to be called before the first of them is submitted.

    Never raises: a job must not fail because it cannot be recorded.

    Args:
        dispatch_id: The dispatch.
    """
    own = _files_by_pid.get(os.getpid())
    if own is None:
        own = _files_by_pid.setdefault(os.getpid(), _DispatchFile())
        _remove_expired(own.path)
    own.add(str(dispatch_id))


def waiting() -> Waiting:
    """Read the files of all processes of this home."""
    living: set[str] = set()
    dead: set[str] = set()
    own = _files_by_pid.get(os.getpid())
    for path in directory().glob("*.dispatches"):
        if own is not None and path == own.path:
            living |= own.dispatches
            continue
        try:
            # An exclusive lock requires a file that is open for writing.
            with path.open("r+", encoding="utf-8", errors="replace") as file:
                (dead if _try_lock(file) else living).update(file.read().split())
        except OSError as error:
            _log.debug("%s tells nothing: %s", path, error)
    return Waiting(frozenset(living), frozenset(dead))


def _remove_expired(own: Path) -> None:
    for path in directory().glob("*.dispatches"):
        with contextlib.suppress(OSError):
            if path != own and time.time() - path.stat().st_mtime > _RETENTION_SECONDS:
                with path.open("r+", encoding="utf-8") as file:
                    if _try_lock(file):
                        path.unlink()


def _try_lock(file: TextIO) -> bool:
    """Lock a file until it is closed. Returns False if another process holds the lock."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def directory() -> Path:
    """Where the processes of this home leave what they have to tell each other."""
    from covalent._shared_files.config import get_config

    return Path(get_config("dispatcher.cache_dir")) / "awsbatch"
