"""HTML of texts of unknown origin."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from covalent_awsbatch_plugin.printable import printable


def escaped(text: object) -> str:
    """A text that shows itself in a page and does nothing else.

    Args:
        text: Anything.
    """
    return html.escape(printable(text), quote=True)


def breakable(name: str) -> str:
    """The name of a function, `escaped`; where it is too long for its line, that is broken after an underscore.

    Args:
        name: The name.
    """
    return escaped(name).replace("_", "_<wbr>")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> str:
    """A table; it is moved sideways where the page is narrow.

    Args:
        heads: Plain texts.
        rows: HTML of the cells.
        numbers: Columns that stand to the right.
    """
    right = set(numbers)

    def cells(tag: str, texts: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=number' if at in right else ''}>{text}</{tag}>" for at, text in enumerate(texts)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{cells("th", heads)}</tr></thead><tbody>{body}</tbody></table></div>'
