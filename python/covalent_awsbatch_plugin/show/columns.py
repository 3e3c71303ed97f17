"""Lines in aligned columns, one line a row, cut at the edge of the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text

_GAP = "  "
_NARROWEST = 8
"""Columns of a terminal that the last column gets at least."""


def aligned(rows: Sequence[Sequence[Text]], columns: int | None) -> list[Text]:
    """Put cells under each other; the last one of a row takes what is left.

    Args:
        rows: Rows of as many cells each.
        columns: Columns of the terminal, at which the last cell is cut; None to cut nothing.
    """
    widths = [max(cell_len(row[number].plain) for row in rows) for number in range(len(rows[0]) - 1)]
    taken = sum(widths) + len(_GAP) * len(widths)
    lines = []
    for row in rows:
        cells = [cell.copy() for cell in row]
        for cell, wide in zip(cells, widths, strict=False):
            cell.pad_right(wide - cell_len(cell.plain))
        if columns is not None:
            cells[-1].truncate(max(_NARROWEST, columns - taken), overflow="ellipsis")
        line = Text(_GAP).join(cells)
        line.rstrip()
        lines.append(line)
    return lines
