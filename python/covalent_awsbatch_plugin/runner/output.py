"""Standard output and error: passed on at once, and kept, the end of them at least."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from typing import Any

LIMIT = 4 * 1024 * 1024
"""Bytes that are kept of each stream: its last 4 MiB."""

_CHUNK = 64 * 1024


class Tail:
    """The end of a stream.

    Args:
        limit: Number of bytes to keep.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._kept = bytearray()
        self._dropped = 0
        self._lock = threading.Lock()

    def add(self, chunk: bytes) -> None:
        """Keep what comes next."""
        with self._lock:
            self._kept += chunk
            if len(self._kept) > 2 * self._limit:
                self._forget()

    def text(self) -> str:
        """What was added, or its end under a line that says how much is missing. Valid UTF-8, else as it is."""
        with self._lock:
            if len(self._kept) > self._limit:
                self._forget()
            kept, dropped = bytes(self._kept), self._dropped
        if not dropped:
            return kept.decode("utf-8", "replace")
        # The cut may have gone through a character, of which up to three bytes are left.
        start = next((i for i in range(min(4, len(kept))) if kept[i] & 0xC0 != 0x80), 0)
        return f"[the first {dropped + start:,} bytes are left out]\n{kept[start:].decode('utf-8', 'replace')}"

    def _forget(self) -> None:
        surplus = len(self._kept) - self._limit
        del self._kept[:surplus]
        self._dropped += surplus


class Pump(threading.Thread):
    """Passes on what comes out of a pipe, in order, until nobody holds its other end any more.

    Whoever writes waits while the target takes nothing more, as if it wrote there itself. A target that is gone keeps
    nobody waiting.

    Args:
        source: Descriptor of the pipe; its owner from now on.
        target: Descriptor to write to.
    """

    def __init__(self, source: int, target: int) -> None:
        super().__init__(daemon=True)
        self.tail = Tail()
        self._source = source
        self._target = target

    def run(self) -> None:
        """Until the end of the pipe."""
        while chunk := os.read(self._source, _CHUNK):
            self.tail.add(chunk)
            with contextlib.suppress(OSError):
                write(self._target, chunk)
        os.close(self._source)


class Unbuffered(io.BufferedIOBase):
    """The binary layer of a text stream that writes at once, and everything, to a descriptor.

    Errors are passed over: a stream that is gone does not disturb the program that writes.

    Args:
        descriptor: Where to write.
        name: What Python calls such a stream.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        super().__init__()
        self.name = name
        self._descriptor = descriptor

    def write(self, data: Any, /) -> int:
        """Write all of it."""
        chunk = bytes(data)
        with contextlib.suppress(OSError):
            write(self._descriptor, chunk)
        return len(chunk)

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor


def text_stream(descriptor: int, name: str) -> io.TextIOWrapper:
    """A text stream over a descriptor, as `python -u` has it.

    Any text can be written: what UTF-8 cannot express, lone surrogates, is written as an escape sequence.

    Args:
        descriptor: Where to write.
        name: What Python calls such a stream, such as `<stdout>`.
    """
    return io.TextIOWrapper(
        Unbuffered(descriptor, name), encoding="utf-8", errors="backslashreplace", write_through=True
    )


def write(descriptor: int, data: bytes) -> None:
    """Write all of it.

    Args:
        descriptor: Where to; blocking.
        data: What to write.

    Raises:
        OSError: The descriptor takes nothing (any more).
    """
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
