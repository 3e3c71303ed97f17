"""The values that a run has replaced in Covalent's configuration, saved in the run's own directory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import toml

_FILE = "former-values.toml"
_MISSING = object()


@dataclass
class FormerValues:
    """The values that one run has to restore. To be used under the lock of the configuration file.

    Attributes:
        directory: The run's directory.
        number: Order of the runs.
        existed: Whether the configuration file existed before.
        options: Options that the run has written.
        before: Their former values; an option that did not exist is missing.
    """

    directory: Path
    number: int
    existed: bool
    options: dict[str, Any]
    before: dict[str, Any]

    @classmethod
    def save(cls, directory: Path, options: dict[str, Any], before: dict[str, Any], *, existed: bool) -> None:
        """Saves the values that a run is about to replace."""
        others = cls.all_in(directory.parent)
        cls(directory, others[-1].number + 1 if others else 1, existed, options, before).write()

    @classmethod
    def all_in(cls, parent: Path) -> list[FormerValues]:
        """Returns those of all runs below `parent`, the latest last, without unreadable ones."""
        found = []
        for path in parent.glob(f"*/{_FILE}"):
            with suppress(OSError, ValueError, TypeError):
                found.append(cls(path.parent, **toml.loads(path.read_text(encoding="utf-8"))))
        return sorted(found, key=lambda one: one.number)

    def restore(self, section: dict[str, Any], later: Sequence[FormerValues]) -> None:
        """Restores each unchanged option: for the next run that has replaced it, else in the configuration.

        Args:
            section: The executor's section of the configuration.
            later: Runs that have written after this one and have not ended, the earliest first.
        """
        for name, value in self.options.items():
            holder = next((one.before for one in later if name in one.options), section)
            if holder.get(name, _MISSING) != value:
                continue
            if name in self.before:
                holder[name] = self.before[name]
            else:
                del holder[name]
        if later:
            later[0].existed = self.existed
        for one in later:
            one.write()

    def delete(self) -> None:
        """Deletes the file, after everything was restored."""
        (self.directory / _FILE).unlink(missing_ok=True)

    def write(self) -> None:
        """Writes the file atomically."""
        new = self.directory / f"{_FILE}.new"
        kept = {name: getattr(self, name) for name in ("number", "existed", "options", "before")}
        # Private regardless of the umask, since a section may contain secrets.
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            toml.dump(kept, file)
        new.replace(self.directory / _FILE)
