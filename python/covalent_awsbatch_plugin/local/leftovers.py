"""What runs have left behind that were killed: put right when the next one starts."""

from __future__ import annotations

import logging

import filelock
import toml

from .configuration import runs_directory, take_back
from .run_directory import of_dead_runs, remove

_log = logging.getLogger(__name__)


def clear() -> None:
    """Puts back what stood in Covalent's configuration, and removes the directories of dead runs of this user.

    Never raises: a new run does not depend on it, and the one after it tries again.
    """
    try:
        for directory in of_dead_runs():
            remove(directory)
        dead = of_dead_runs(runs_directory())
        take_back(dead)
        for directory in dead:
            remove(directory)
    # RuntimeError: this user has no home.
    except (OSError, RuntimeError, filelock.Timeout, toml.TomlDecodeError) as error:
        _log.warning("What an embedded AWS that was killed has left behind is still there: %s", error)
