"""A terminal: the table at the bottom, and what electrons print goes by above it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from covalent_awsbatch_plugin.show.amounts import duration
from covalent_awsbatch_plugin.show.output import Output
from covalent_awsbatch_plugin.show.reading import Line
from covalent_awsbatch_plugin.show.wrapping import shortened, widest_name, wrapped

from .states import Kind, Row, Snapshot, of_most

STYLES = {
    Kind.FAILED: ("✗", "red"),
    Kind.RUNNING: ("●", "cyan"),
    Kind.WAITING: ("◌", "yellow"),
    Kind.CANCELLED: ("○", "dim"),
    Kind.NOT_BEGUN: ("○", "dim"),
    Kind.DONE: ("✔", "green"),
}
"""A mark and a style for each."""

_LINES_OF_OTHERS = 6
"""Of the terminal, beside the rows."""
_NARROWEST = 20
"""Columns of a reason beside its row."""
_INDENT = 4
"""Of one below it."""


class Terminal:
    """Shows a dispatch in a terminal.

    Args:
        console: The terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._output = Output(console=console)
        self._said: set[str] = set()
        self._page = _Page()
        self._live = Live(self._page, console=console, refresh_per_second=4)

    def begin(self, word: str) -> None:
        """Shows that it is looked for.

        Args:
            word: What was asked for.
        """
        self._page.step = f"looking for {word}"
        self._live.start()

    def update(
        self, snapshot: Snapshot, lines: Iterable[Line], several: Iterable[str], problems: Iterable[str]
    ) -> None:
        """Shows how it is now, and what was printed meanwhile.

        Args:
            snapshot: How it is.
            lines: What was printed.
            several: Names of electrons that made several attempts.
            problems: What could not be had, all that there ever was.
        """
        self._output.write(lines, set(several))
        for problem in problems:
            if problem not in self._said:
                self._said.add(problem)
                self._write(problem, "yellow")
        self._page.snapshot = snapshot
        self._live.refresh()

    def end(self, said: Sequence[str], *, failed: bool) -> None:
        """Shows the last words, below the table, which stays.

        Args:
            said: Them.
            failed: Whether it failed.
        """
        self._page.step = ""
        self._page.has_ended = True
        self._live.stop()
        for number, line in enumerate(said):
            self._write(line, "red" if failed and number < len(said) - 1 else "")

    def close(self) -> None:
        """Gives the terminal back."""
        self._live.stop()

    def _write(self, text: str, style: str = "") -> None:
        for line in text.split("\n"):
            for number, piece in enumerate(wrapped(line, self._console.width - 2)):
                self._console.print(Text("  " * (number > 0) + piece, style), soft_wrap=True)


class _Page:
    """The table, with ages as they are when it is drawn."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None
        self.step = ""
        self.has_ended = False
        self._spinner = Spinner("dots")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draws it."""
        if self.snapshot is None:
            self._spinner.update(text=Text(self.step))
            yield self._spinner
            return
        now = time.time()
        for number, piece in enumerate(wrapped(self.snapshot.title(now), options.max_width - 2)):
            yield Text("  " * (number > 0) + piece, "bold")
        yield Text(self.snapshot.counts)
        room = len(self.snapshot.rows) if self.has_ended else max(3, console.height - _LINES_OF_OTHERS)
        rows, left = of_most(self.snapshot.rows, min(room, 40))
        yield from _lines(rows, now, options.max_width)
        if left:
            yield Text(f"  {left}", "dim")


def _lines(rows: Sequence[Row], now: float, columns: int) -> Iterator[Text]:
    """A line for each row; a reason that does not fit beside it without a word being cut stands below it."""
    heads = []
    for row in rows:
        seconds = row.seconds(now)
        heads.append(
            (
                shortened(row.label, widest_name(columns)),
                row.kind.value + ("" if seconds is None else f" {duration(seconds)}"),
            )
        )
    labels, states = (max((cell_len(head[at]) for head in heads), default=0) for at in (0, 1))
    beside = 2 + labels + 2 + states + 2
    for row, (label, state) in zip(rows, heads, strict=True):
        mark, style = STYLES[row.kind]
        line = Text.assemble((mark, style), f" {label}{' ' * (labels - cell_len(label))}  ", (state, style))
        room = columns - beside
        if max(map(cell_len, row.why.split()), default=0) <= room and room >= _NARROWEST:
            first, *others = wrapped(row.why, room)
            indent = beside
        else:
            first, others = "", wrapped(row.why, columns - _INDENT)
            indent = _INDENT
        if first:
            line.append(" " * (states - cell_len(state) + 2)).append(first, "dim")
        yield line
        for other in others:
            yield Text(" " * indent + other, "dim")
