"""Lines that electrons wrote, each after the name of its electron."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable

import click
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from covalent_awsbatch_plugin.printable import one_line, printable

from .reading import Line
from .spinner import Spinner
from .wrapping import shortened, widest_name, width, wrapped

_COLOURS = ("cyan", "green", "yellow")


class Output:
    """Writes them to the standard output.

    Args:
        as_json: Write a JSON object for each line.
        console: Where to write else.

    Attributes:
        written: How many lines were written.
    """

    def __init__(self, as_json: bool = False, console: Console | None = None) -> None:
        self._as_json = as_json
        self._console = Console(highlight=False) if console is None else console
        self._columns = width(self._console)
        self._colours: dict[str, str] = {}
        self._widest = 0
        self.written = 0

    def write(self, lines: Iterable[Line], several: Collection[str], spinner: Spinner | None = None) -> None:
        """Writes lines.

        Args:
            lines: What to write.
            several: Names of the electrons whose lines are written with their attempt.
            spinner: What to hide before.
        """
        for line in lines:
            if spinner is not None:
                spinner.hide()
            self.written += 1
            if self._as_json:
                click.echo(json.dumps(_to_dict(line)))
                continue
            label = named_line(line, several, None if self._columns is None else widest_name(self._columns))
            colour = self._colours.setdefault(line.task.label, _COLOURS[len(self._colours) % len(_COLOURS)])
            self._widest = max(self._widest, cell_len(label))
            gutter = label + " " * (self._widest - cell_len(label))
            columns = None if self._columns is None else self._columns - self._widest - 3
            for part in printable(line.text).split("\n"):
                for number, piece in enumerate(wrapped(part, columns)):
                    before = gutter if not number else " " * self._widest
                    shown = Text.assemble((before, colour), (" │ ", "dim"), piece)
                    self._console.print(shown, soft_wrap=True)


def named_line(line: Line, several: Collection[str], most: int | None = None) -> str:
    """What stands before a line: its electron, and its attempt where there are several.

    Args:
        line: The line.
        several: Names of the electrons that made several attempts.
        most: Columns that the name of the electron may take; None for as many as it needs.
    """
    label = one_line(line.task.label)
    if most is not None:
        label = shortened(label, most)
    if line.attempt > 1 or (line.attempt and line.task.label in several):
        label += f" attempt {line.attempt}"
    return label


def _to_dict(line: Line) -> dict[str, object]:
    return {
        "dispatch": line.task.electron.dispatch_id,
        "node": line.task.electron.node_id,
        "name": line.task.label,
        "job": line.task.job_id or None,
        "attempt": line.attempt or None,
        "at": line.at or None,
        "text": line.text,
    }
