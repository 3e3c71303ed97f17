"""What stood in Covalent's configuration before a run wrote to it, kept in the run's own directory."""

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
    """What one run has to put back. To be called under the lock of the configuration file.

    Attributes:
        directory: The run's directory.
        number: Grows from run to run: who wrote later.
        existed: Whether the configuration file was there before.
        options: What the run has written.
        before: What stood there; an option that was not there is not in it.
    """

    directory: Path
    number: int
    existed: bool
    options: dict[str, Any]
    before: dict[str, Any]

    @classmethod
    def keep(cls, directory: Path, options: dict[str, Any], before: dict[str, Any], *, existed: bool) -> None:
        """Writes down what a run is about to replace."""
        others = cls.all_in(directory.parent)
        cls(directory, others[-1].number + 1 if others else 1, existed, options, before).write()

    @classmethod
    def all_in(cls, parent: Path) -> list[FormerValues]:
        """Returns those of all runs below `parent`, the latest last. What cannot be read is left out."""
        found = []
        for path in parent.glob(f"*/{_FILE}"):
            with suppress(OSError, ValueError, TypeError):
                found.append(cls(path.parent, **toml.loads(path.read_text(encoding="utf-8"))))
        return sorted(found, key=lambda one: one.number)

    def hand_back(self, section: dict[str, Any], later: Sequence[FormerValues]) -> None:
        """Puts each option back that nobody has changed: to the next run that replaced it, else to the configuration.

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

    def forget(self) -> None:
        """Removes the file, once everything is back."""
        (self.directory / _FILE).unlink(missing_ok=True)

    def write(self) -> None:
        """Writes the file, all or nothing."""
        new = self.directory / f"{_FILE}.new"
        kept = {name: getattr(self, name) for name in ("number", "existed", "options", "before")}
        # Private whatever the umask is: a section may hold what its owner does not show.
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            toml.dump(kept, file)
        new.replace(self.directory / _FILE)
