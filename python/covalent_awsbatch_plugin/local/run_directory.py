"""The private directory of a run, and those that killed runs have left."""

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
    """Creates a directory of mode 0700 with a file that names its owner, and removes it when the `with` block ends.

    Args:
        parent: Parent directory, created with mode 0700 if necessary and removed if empty; None for the system's
            temporary directory.
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
            with suppress(OSError):  # not empty
                parent.rmdir()


def dead_run_directories(parent: Path | None = None) -> list[Path]:
    """Returns directories whose owner has ended without removing them.

    Other users may create such names in a shared temporary directory, so only directories count that this user owns and
    nobody else can write to.

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
    """Removes a run's directory; the owner file goes last, so that a failure is retried by a later run."""
    for entry in directory.glob("*"):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.name != _OWNER:
            with suppress(OSError):
                entry.unlink()
    with suppress(OSError):
        if [entry.name for entry in directory.iterdir()] == [_OWNER]:
            shutil.rmtree(directory, ignore_errors=True)
