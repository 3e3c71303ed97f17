"""Lines that are broken between words, with a hanging indent."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import click
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from covalent_awsbatch_plugin.printable import printable

_NARROWEST = 20
"""Columns that a text gets at least, whatever stands before it."""


def width(console: Console) -> int | None:
    """Columns to wrap at: those of the terminal, or of `COLUMNS`; None where lines are read by a program.

    Args:
        console: Where the lines go.
    """
    return console.width if console.is_terminal or os.environ.get("COLUMNS", "").isdecimal() else None


def shortened(name: str, most: int) -> str:
    """The name of an electron, without its middle where it is too long: its number stays.

    Args:
        name: The name, such as `train[3]`.
        most: Columns that it may take.
    """
    if cell_len(name) <= most:
        return name
    before, bracket, number = name.rpartition("[")
    kept = Text(before)
    kept.truncate(max(4, most - len(bracket + number) - 1))
    return f"{kept.plain}…{bracket}{number}"


def widest_name(columns: int) -> int:
    """Columns that a name may take before the text of a line.

    Args:
        columns: Columns of the terminal.
    """
    return max(_NARROWEST, columns // 3)


def wrapped(line: str, columns: int | None) -> list[str]:
    """Break a line between words. A word that is longer than a line stays whole, and so does a command that fits one.

    Args:
        line: The line; its spaces stay, but where it is broken.
        columns: Columns to fill, at least 20; None for as many as it needs.
    """
    line = line.expandtabs()
    if columns is None or cell_len(line) <= max(columns, _NARROWEST):
        return [line]
    columns = max(columns, _NARROWEST)
    found, current = [], ""
    for piece in _pieces(line, columns):
        if current.strip() and cell_len(current) + cell_len(piece) > columns:
            found.append(current)
            current = piece.lstrip()
        else:
            current += piece
    return [*found, current]


def _pieces(line: str, columns: int) -> Iterator[str]:
    """Words, each with the spaces before it; what stands in backticks is one, so that it can be copied."""
    for piece in re.findall(r"\s*(?:\S*`[^`]+`\S*|\S+)", line):
        if cell_len(piece.lstrip()) <= columns:
            yield piece
        else:
            yield from re.findall(r"\s*\S+", piece)


def hanging(text: str, first: str, rest: str, columns: int | None) -> list[str]:
    """Break a text between words, each line after what stands before it.

    Args:
        text: The text; its own lines stay apart.
        first: What stands before the first line.
        rest: What stands before the others.
        columns: Columns of the terminal; None for lines as long as they are.
    """
    room = None if columns is None else columns - max(cell_len(first), cell_len(rest))
    pieces = [piece for line in text.split("\n") for piece in wrapped(line, room)]
    return [(rest if number else first) + piece for number, piece in enumerate(pieces)]


def say(text: object) -> None:
    """Write a message to the error stream.

    Args:
        text: The message; it is made printable.
    """
    columns = width(Console(stderr=True))
    for line in printable(text).split("\n"):
        for number, piece in enumerate(wrapped(line, None if columns is None else columns - 2)):
            click.echo("  " * (number > 0) + piece, err=True)
