"""Writes options into Covalent's configuration file for a while, and puts back what stood there before."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import filelock
import toml

_SECTION = "awsbatch"
_MISSING = object()


def config_file() -> Path:
    """Covalent's configuration file, by Covalent's own rule; importing Covalent to ask for it would create it."""
    given = os.environ.get("COVALENT_CONFIG_DIR") or os.environ.get("XDG_CONFIG_DIR")
    return Path(given or Path.home() / ".config/covalent") / "covalent.conf"


@contextlib.contextmanager
def configured(options: Mapping[str, Any]) -> Iterator[Path]:
    """Sets options in `[executors.awsbatch]` as long as the context lasts.

    Other options, and those that someone else changes meanwhile, are left alone. Covalent does not keep comments in
    this file, and neither does this.

    Args:
        options: Options of the executor.

    Yields:
        The configuration file.

    Raises:
        filelock.Timeout: Another process holds the file for more than ten seconds.
        toml.TomlDecodeError: The file cannot be read.
    """
    path = config_file()
    existed = path.exists()
    before: dict[str, Any] = {}

    def write(section: dict[str, Any]) -> None:
        before.update({name: section.get(name, _MISSING) for name in options})
        section.update(options)

    def restore(section: dict[str, Any]) -> None:
        for name, value in before.items():
            if section.get(name, _MISSING) != options[name]:
                continue
            if value is _MISSING:
                del section[name]
            else:
                section[name] = value

    edit(path, write)
    try:
        yield path
    finally:
        if path.exists() and not edit(path, restore) and not existed:
            path.unlink(missing_ok=True)


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
