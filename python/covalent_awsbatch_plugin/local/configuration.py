"""Writes options into Covalent's configuration file for a while, and puts back what stood there before.

What stood there is kept on the disk meanwhile, so that the next run puts it back where this one is killed.
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
from .run_directory import of_dead_runs

_SECTION = "awsbatch"


def config_file() -> Path:
    """Covalent's configuration file, by Covalent's own rule; importing Covalent to ask for it would create it."""
    given = os.environ.get("COVALENT_CONFIG_DIR") or os.environ.get("XDG_CONFIG_DIR")
    return Path(given or Path.home() / ".config/covalent") / "covalent.conf"


def runs_directory() -> Path:
    """Where runs that a configuration may name have their directories: beside the file, where it lasts as long."""
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
        FormerValues.keep(directory, dict(options), before, existed=existed)
        section.update(options)

    try:
        edit(path, write)
        yield path
    finally:
        # With those that were killed meanwhile: what they have written is no better to leave behind.
        take_back([directory, *of_dead_runs(runs_directory())])


def take_back(directories: Sequence[Path]) -> None:
    """Puts back what stood in the configuration before runs that have ended wrote to it.

    Where a later run has written over it, that run is told instead, which puts it back at its own end.

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

    def restore(section: dict[str, Any]) -> None:
        nonlocal existed
        later: list[FormerValues] = []
        for one in reversed(FormerValues.all_in(runs_directory())):
            if one.directory not in directories:
                later.insert(0, one)
                continue
            one.hand_back(section, later)
            existed = existed if later else one.existed

    if path.exists() and not edit(path, restore) and not existed:
        path.unlink(missing_ok=True)
    for one in kept:
        if one.directory in directories:
            one.forget()


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Changes the executor's section under Covalent's own lock, all or nothing; the whole content afterwards."""
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
