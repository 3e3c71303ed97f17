"""A private directory for as long as a run lasts, and what is left of it when the run was killed."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .owner import Owner

_PREFIX = "covalent-awsbatch-local-"
_OWNER = "owner.json"


@contextmanager
def run_directory(parent: Path | None = None) -> Iterator[Path]:
    """Makes a directory of mode 0700 that says whose it is, and removes it when the `with` block ends.

    Args:
        parent: Where to make it, itself made with mode 0700 if it is not there and removed when it is empty; None is
            the system's temporary directory.
    """
    if parent is not None:
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    try:
        Owner.this_process().write(directory / _OWNER)
        yield directory
    finally:
        remove(directory)
        if parent is not None:
            with suppress(OSError):  # others are in it
                parent.rmdir()


def of_dead_runs(parent: Path | None = None) -> list[Path]:
    """Returns the directories whose process has ended without removing them.

    Others may make something of that name in a temporary directory that all share, so that only a real directory of
    this user, which nobody else could write to, counts.

    Args:
        parent: Where to look; None is the system's temporary directory.
    """
    found = []
    for directory in (parent or Path(tempfile.gettempdir())).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            status = directory.lstat()
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077:
                owner = Owner.read(directory / _OWNER)
                if owner is not None and owner.is_gone:
                    found.append(directory)
    return found


def remove(directory: Path) -> None:
    """Removes a run's directory; what says whose it is goes last, so that what cannot be removed is tried again."""
    for entry in directory.glob("*"):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.name != _OWNER:
            with suppress(OSError):
                entry.unlink()
    with suppress(OSError):
        if [entry.name for entry in directory.iterdir()] == [_OWNER]:
            shutil.rmtree(directory, ignore_errors=True)
