"""A notebook: one output that is updated in place, in the colours of its page. Needs no ipywidgets."""

from __future__ import annotations

import html
import sys
import time
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from covalent_awsbatch_plugin.printable import printable
from covalent_awsbatch_plugin.show.amounts import duration
from covalent_awsbatch_plugin.show.output import named_line
from covalent_awsbatch_plugin.show.reading import Line

from .states import Snapshot, of_most
from .terminal import STYLES

_MOST_ROWS = 30
_MOST_LINES = 200
_COLOURS = {"red": "#d9534f", "cyan": "#2b8fb5", "yellow": "#b8860b", "green": "#2e9e5b", "dim": "inherit"}
"""Legible on white and on black."""
_CELL = "padding:1px 12px 1px 0;text-align:left;vertical-align:top;background:none;border:none"
_LINES = "max-height:20em;overflow:auto;display:flex;flex-direction:column-reverse;margin:6px 0"
_PRE = (
    "flex:none;overflow:visible;margin:0;font-family:monospace;white-space:pre-wrap;overflow-wrap:anywhere;"
    "background:none;color:inherit"
)


def is_here() -> bool:
    """Whether this is a notebook, whose front end shows HTML; a terminal's IPython is none."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return getattr(shell, "kernel", None) is not None


class Notebook:
    """Shows a dispatch in a notebook."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._snapshot: Snapshot | None = None
        self._lines: deque[str] = deque(maxlen=_MOST_LINES)
        self._left_out = 0
        self._said: list[str] = []
        self._word = ""
        self._last: Sequence[str] = ()
        self._failed = False

    def begin(self, word: str) -> None:
        """Shows that it is looked for.

        Args:
            word: What was asked for.
        """
        from IPython.display import display

        self._word = word
        self._handle = display(self._bundle(), raw=True, display_id=True)  # type: ignore[no-untyped-call]

    def update(
        self, snapshot: Snapshot, lines: Iterable[Line], several: Collection[str], problems: Iterable[str]
    ) -> None:
        """Shows how it is now; the arguments are those of `Terminal.update`.

        Args:
            snapshot: How it is.
            lines: What was printed.
            several: Names of electrons that made several attempts.
            problems: What could not be had, all that there ever was.
        """
        self._snapshot = snapshot
        for line in lines:
            self._left_out += len(self._lines) == _MOST_LINES
            self._lines.append(f"{named_line(line, several)} │ {printable(line.text)}")
        self._said = [printable(problem) for problem in problems]
        self._handle.update(self._bundle(), raw=True)

    def end(self, said: Sequence[str], *, failed: bool) -> None:
        """Shows the last words.

        Args:
            said: Them.
            failed: Whether it failed.
        """
        self._last = said
        self._failed = failed
        self._handle.update(self._bundle(), raw=True)

    def close(self) -> None:
        """Nothing is to be given back."""

    def _bundle(self) -> dict[str, str]:
        """The same for a page and for what shows text only."""
        now = time.time()
        if self._snapshot is None:
            text = f"looking for {self._word}"
            return {"text/plain": text, "text/html": html.escape(text)}
        rows, left = of_most(self._snapshot.rows, _MOST_ROWS)
        table, texts = [], [self._snapshot.title(now), self._snapshot.counts]
        for row in rows:
            mark, style = STYLES[row.kind]
            seconds = row.seconds(now)
            state = row.kind.value + ("" if seconds is None else f" {duration(seconds)}")
            texts.append(f"{mark} {row.label}  {state}  {row.why}".rstrip())
            table.append(_row(mark, row.label, state, row.why, _COLOURS[style]))
        texts += [*([left] if left else []), *self._lines, *self._said, *self._last]
        parts = [
            f"<div><b>{_text(self._snapshot.title(now))}</b><br>{_text(self._snapshot.counts)}</div>",
            f'<table style="border:none;border-collapse:collapse;margin:4px 0">{"".join(table)}</table>',
            f"<div>{_text(left)}</div>" if left else "",
            self._printed(),
            self._last_words(),
        ]
        page = f'<div style="line-height:1.5;overflow-x:auto">{"".join(parts)}</div>'
        return {"text/plain": "\n".join(texts), "text/html": page}

    def _printed(self) -> str:
        """What was printed, scrolled to its end."""
        if not self._lines:
            return ""
        before = f"… {self._left_out} lines before\n" if self._left_out else ""
        shown = _text(before + "\n".join(self._lines))
        return f'<div style="{_LINES}"><pre style="{_PRE}">{shown}</pre></div>'

    def _last_words(self) -> str:
        """Problems, and what `end` was given: what comes last is what to type next."""
        red = self._last[:-1] if self._failed else ()
        return "".join(
            f'<div style="white-space:pre-wrap;color:{_COLOURS["red"] if one in red else "inherit"}">{_text(one)}</div>'
            for one in (*self._said, *self._last)
        )


def _row(mark: str, label: str, state: str, why: str, colour: str) -> str:
    cells = (
        f'<td style="{_CELL};color:{colour}">{mark}</td>',
        f'<td style="{_CELL};white-space:nowrap">{_text(label)}</td>',
        f'<td style="{_CELL};white-space:nowrap;color:{colour}">{_text(state)}</td>',
        f'<td style="{_CELL};opacity:0.75">{_text(why)}</td>',
    )
    return f'<tr style="background:none">{"".join(cells)}</tr>'


def _text(text: str) -> str:
    return html.escape(printable(text))
