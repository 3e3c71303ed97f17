"""Text of unknown origin, made safe to show: in a terminal, in a log, in Covalent's database.

What a function printed, a traceback, an object in the bucket or a name in AWS can hold characters that move the cursor,
set a terminal's title or turn the direction of reading round, and lone surrogates, which no UTF-8 can hold.
"""

from __future__ import annotations

import logging
import re

# C0 and C1 without tab and newline, DEL; what turns the direction of reading; separators of lines; surrogates.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_CUT = "\n[… {count:,} characters are left out …]\n"


def printable(text: object, limit: int | None = None) -> str:
    r"""Escape what does more in a terminal than to show itself.

    Args:
        text: Anything; what is no text is shown as `str` has it.
        limit: Characters that are kept, half of them from the beginning and half from the end; None for all.

    Returns:
        The text with its newlines and tabs; `\r\n` becomes a newline, any other control character, bidirectional
        mark and lone surrogate its escape sequence, such as `\x1b`.
    """
    shown = str(text)
    if limit is not None and len(shown) > limit:
        head, tail = limit - limit // 2, limit // 2
        shown = shown[:head] + _CUT.format(count=len(shown) - head - tail) + shown[len(shown) - tail :]
    return _UNSAFE.sub(_escaped, shown.replace("\r\n", "\n"))


def one_line(text: object, limit: int | None = None) -> str:
    """The same in one line, for names and reasons.

    Args:
        text: Anything.
        limit: Characters that are kept; None for all.
    """
    return " ".join(printable(text, limit).split())


class PrintableRecords(logging.Handler):
    """Makes records printable for all handlers that come after it: what AWS says may stand in a record, too."""

    def emit(self, record: logging.LogRecord) -> None:
        """Has the record say what it says in one line that does nothing to a terminal."""
        try:
            record.msg, record.args = one_line(record.getMessage()), None
        except Exception:  # noqa: BLE001  (as logging has it: a record that cannot be written harms nobody)
            self.handleError(record)


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("ascii", "backslashreplace").decode("ascii") if match[0] > "\x7f" else repr(match[0])[1:-1]
