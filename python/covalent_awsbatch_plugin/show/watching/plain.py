"""Lines, where the output is no terminal: each change of an electron, and what electrons print."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import click

from covalent_awsbatch_plugin.show.amounts import duration
from covalent_awsbatch_plugin.show.output import Output
from covalent_awsbatch_plugin.show.reading import Line
from covalent_awsbatch_plugin.show.wrapping import say

from .states import Kind, Snapshot


class Plain:
    """Writes a dispatch to the standard output as it goes on."""

    def __init__(self) -> None:
        self._output = Output()
        self._states: dict[str, tuple[Kind, str]] = {}
        self._said: set[str] = set()
        self._title = ""

    def begin(self, word: str) -> None:
        """Says that it is looked for.

        Args:
            word: What was asked for.
        """
        say(f"looking for {word}")

    def update(
        self, snapshot: Snapshot, lines: Iterable[Line], several: Iterable[str], problems: Iterable[str]
    ) -> None:
        """Writes what has changed; the arguments are those of `Terminal.update`.

        Args:
            snapshot: How it is.
            lines: What was printed.
            several: Names of electrons that made several attempts.
            problems: What could not be had, all that there ever was.
        """
        for problem in problems:
            if problem not in self._said:
                self._said.add(problem)
                say(problem)
        now = time.time()
        title = f"{snapshot.name} {snapshot.dispatch_id} {snapshot.status}".strip()
        if title != self._title:
            self._title = title
            click.echo(snapshot.title(now))
        self._output.write(lines, set(several))
        for row in snapshot.rows:
            if row.kind is Kind.WAITING and row.since is None:
                continue  # for others, and of these there may be thousands
            if self._states.get(row.label) != (row.kind, row.why):
                self._states[row.label] = (row.kind, row.why)
                took = row.seconds(now) if row.until else None
                told = row.kind.value + ("" if took is None else f" in {duration(took)}")
                click.echo(f"{row.label} {told}" + (f": {row.why}" if row.why else ""))

    def end(self, said: Sequence[str], *, failed: bool) -> None:  # noqa: ARG002
        """Writes the last words.

        Args:
            said: Them.
            failed: Whether it failed.
        """
        for line in said:
            click.echo(line)

    def close(self) -> None:
        """Nothing is to be given back."""
