"""Forwards standard output and error at once, and keeps the end of each."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from typing import Any

MAX_KEPT_BYTES = 4 * 1024 * 1024
"""Bytes that are kept of each stream: its last 4 MiB."""

_CHUNK_BYTES = 64 * 1024


class Tail:
    """The end of a stream.

    Args:
        limit: Number of bytes to keep.
    """

    def __init__(self, limit: int = MAX_KEPT_BYTES) -> None:
        self._limit = limit
        self._kept = bytearray()
        self._dropped = 0
        self._lock = threading.Lock()

    def add(self, chunk: bytes) -> None:
        """Add a chunk."""
        with self._lock:
            self._kept += chunk
            if len(self._kept) > 2 * self._limit:
                self._drop_oldest()

    def text(self) -> str:
        """The text, or its end after a line that says how much is left out. Invalid UTF-8 is replaced."""
        with self._lock:
            if len(self._kept) > self._limit:
                self._drop_oldest()
            kept, dropped = bytes(self._kept), self._dropped
        if not dropped:
            return kept.decode("utf-8", "replace")
        # The first character may be cut, with up to three bytes left.
        start = next((i for i in range(min(4, len(kept))) if kept[i] & 0xC0 != 0x80), 0)
        return f"[the first {dropped + start:,} bytes are left out]\n{kept[start:].decode('utf-8', 'replace')}"

    def _drop_oldest(self) -> None:
        surplus = len(self._kept) - self._limit
        del self._kept[:surplus]
        self._dropped += surplus


class Pump(threading.Thread):
    """Forwards a pipe to a descriptor, until the pipe has no writer.

    A writer blocks while the target is full, as if it wrote there itself. A target that is closed does not block.

    Args:
        source: Descriptor of the pipe, which the pump closes.
        target: Descriptor to write to.
    """

    def __init__(self, source: int, target: int) -> None:
        super().__init__(daemon=True)
        self.tail = Tail()
        self._source = source
        self._target = target

    def run(self) -> None:
        """Forward until the end of the pipe."""
        while chunk := os.read(self._source, _CHUNK_BYTES):
            self.tail.add(chunk)
            with contextlib.suppress(OSError):
                write(self._target, chunk)
        os.close(self._source)


class Unbuffered(io.BufferedIOBase):
    """The binary layer of a text stream that writes at once, and everything, to a descriptor.

    Errors are ignored: a closed stream must not fail the program that writes.

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
