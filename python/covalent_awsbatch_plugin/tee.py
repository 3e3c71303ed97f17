"""Standard output and error that are passed on at once and kept in memory, the end of them at least."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 4 * 1024 * 1024
"""Bytes that are kept of each stream: its last 4 MiB."""


class Tee(io.BufferedIOBase):
    """The binary layer of a text stream, such as `sys.stdout.buffer`.

    Args:
        stream: Where everything goes, flushed after each write.
        limit: Number of bytes to keep.
    """

    def __init__(self, stream: Any, limit: int = LIMIT) -> None:
        super().__init__()
        self.name = getattr(stream, "name", "<tee>")
        self._stream = stream
        self._limit = limit
        self._kept = bytearray()
        self._dropped = 0
        self._lock = threading.RLock()

    def write(self, data: Any, /) -> int:
        """Pass the bytes on and keep them. A stream that is gone does not disturb the program that writes."""
        chunk = bytes(data)
        with self._lock:
            self._kept += chunk
            if len(self._kept) > 2 * self._limit:
                self._forget()
            with contextlib.suppress(OSError, ValueError):
                self._stream.write(chunk)
                self._stream.flush()
        return len(chunk)

    def text(self) -> str:
        """What was written, or its end under a line that says how much is missing."""
        with self._lock:
            if len(self._kept) > self._limit:
                self._forget()
            kept, dropped = bytes(self._kept), self._dropped
        if not dropped:
            return kept.decode("utf-8", "replace")
        # The cut may have gone through a character, of which up to three bytes are left.
        start = next((i for i in range(min(4, len(kept))) if kept[i] & 0xC0 != 0x80), 0)
        return f"[the first {dropped + start:,} bytes are left out]\n{kept[start:].decode('utf-8', 'replace')}"

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The descriptor behind; what is written to it directly, as by child processes, is passed on but not kept."""
        descriptor: int = self._stream.fileno()
        return descriptor

    def isatty(self) -> bool:
        """Never: what is kept is read elsewhere, without colours and progress bars."""
        return False

    def _forget(self) -> None:
        surplus = len(self._kept) - self._limit
        del self._kept[:surplus]
        self._dropped += surplus


@contextlib.contextmanager
def teed(limit: int = LIMIT) -> Iterator[tuple[Tee, Tee]]:
    """Put a tee into `sys.stdout` and `sys.stderr` for the time of a `with` block.

    Any text can be written: what UTF-8 cannot express, lone surrogates, is written as an escape sequence.
    """
    before = sys.stdout, sys.stderr
    tees = Tee(sys.stdout.buffer, limit), Tee(sys.stderr.buffer, limit)
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(tee, encoding="utf-8", errors="backslashreplace", write_through=True) for tee in tees
    )
    try:
        yield tees
    finally:
        sys.stdout, sys.stderr = before
