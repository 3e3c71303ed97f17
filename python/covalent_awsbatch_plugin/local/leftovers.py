"""Cleans up after runs that were killed, when the next one starts."""

from __future__ import annotations

import logging

import filelock
import toml

from .configuration import restore, runs_directory
from .run_directory import dead_run_directories, remove

_log = logging.getLogger(__name__)


def clear() -> None:
    """Restores Covalent's configuration, and removes the directories of this user's dead runs.

    Never raises: a new run does not depend on it, and the one after it tries again.
    """
    try:
        for directory in dead_run_directories():
            remove(directory)
        dead = dead_run_directories(runs_directory())
        restore(dead)
        for directory in dead:
            remove(directory)
    # RuntimeError: this user has no home.
    except (OSError, RuntimeError, filelock.Timeout, toml.TomlDecodeError) as error:
        _log.warning("What an embedded AWS that was killed has left behind is still there: %s", error)
