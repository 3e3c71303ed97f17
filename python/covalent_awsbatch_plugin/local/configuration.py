"""Writes options into Covalent's configuration file temporarily, and restores the former values.

The former values are saved on disk, so that the next run restores them if this one is killed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock
import toml

from .former_values import FormerValues
from .run_directory import dead_run_directories

_SECTION = "awsbatch"


def config_file() -> Path:
    """Covalent's configuration file, by Covalent's own rule; importing Covalent to ask for it would create it."""
    given = os.environ.get("COVALENT_CONFIG_DIR") or os.environ.get("XDG_CONFIG_DIR")
    return Path(given or Path.home() / ".config/covalent") / "covalent.conf"


def runs_directory() -> Path:
    """Parent of the directories of runs that a configuration may name: beside the file, so that it exists as long."""
    return config_file().parent / "awsbatch-local"


@contextlib.contextmanager
def configured(options: Mapping[str, Any], directory: Path) -> Iterator[Path]:
    """Sets options in `[executors.awsbatch]` as long as the context lasts.

    Other options, and those that someone else changes meanwhile, are left alone. Covalent does not keep comments in
    this file, and neither does this. Several runs may do so at once, and end in any order.

    Args:
        options: Options of the executor.
        directory: The run's own directory in `runs_directory()`.

    Yields:
        The configuration file.

    Raises:
        filelock.Timeout: Another process holds the file for more than ten seconds.
        toml.TomlDecodeError: The file cannot be read.
    """
    path = config_file()
    existed = path.exists()

    def write(section: dict[str, Any]) -> None:
        before = {name: section[name] for name in options if name in section}
        FormerValues.save(directory, dict(options), before, existed=existed)
        section.update(options)

    try:
        edit(path, write)
        yield path
    finally:
        # Also for runs that were killed meanwhile, whose options are invalid as well.
        restore([directory, *dead_run_directories(runs_directory())])


def restore(directories: Sequence[Path]) -> None:
    """Restores the values that ended runs have replaced in the configuration.

    If a later run has replaced an option again, that run gets the former value and restores it at its own end.

    Args:
        directories: The runs' directories.

    Raises:
        filelock.Timeout: Another process holds the file for more than ten seconds.
        toml.TomlDecodeError: The file cannot be read.
    """
    path = config_file()
    kept = FormerValues.all_in(runs_directory())
    if not any(one.directory in directories for one in kept):
        return
    existed = True

    def restore_section(section: dict[str, Any]) -> None:
        nonlocal existed
        later: list[FormerValues] = []
        for one in reversed(FormerValues.all_in(runs_directory())):
            if one.directory not in directories:
                later.insert(0, one)
                continue
            one.restore(section, later)
            existed = existed if later else one.existed

    if path.exists() and not edit(path, restore_section) and not existed:
        path.unlink(missing_ok=True)
    for one in kept:
        if one.directory in directories:
            one.delete()


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Changes the executor's section atomically under Covalent's own lock; returns the whole content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{path}.lock", timeout=10):
        content: dict[str, Any] = toml.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        executors = content.setdefault("executors", {})
        section = executors.setdefault(_SECTION, {})
        change(section)
        if not section:
            del executors[_SECTION]
        if not executors:
            del content["executors"]
        target = path.resolve()
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".covalent.conf-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            toml.dump(content, file)
        if target.exists():
            shutil.copymode(target, name)
        Path(name).replace(target)
    return content
