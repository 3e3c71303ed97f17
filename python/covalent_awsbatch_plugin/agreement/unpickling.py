"""Unpickling without a second copy of large texts.

Covalent's results are mostly one long text, the base64 of a `TransportableObject`. Python's unpickler reads a text as
bytes and then decodes them: that takes twice the memory, and holds the GIL meanwhile. Here the text is decoded in
chunks while it arrives.
"""

from __future__ import annotations

import codecs
import pickle
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

LARGE_TEXT = 1024 * 1024
"""Texts of this size or more are decoded in chunks."""

_MAX_TEXT_BYTES = 5 * 1024**4  # no object in S3 is larger
_CHUNK_BYTES = 512 * 1024  # fits into the processor's cache, and lets other threads run in between

# Bytes of an instruction's argument, or of the length that precedes its argument (a frame's content counts as one).
# All other instructions have no argument, or lines, which the unpickler reads with `readline`.
_ARGUMENT_BYTES = {b"K": 1, b"M": 2, b"J": 4, b"G": 8, b"h": 1, b"j": 4, b"q": 1, b"r": 4}
_ARGUMENT_BYTES |= {pickle.PROTO: 1, pickle.EXT1: 1, pickle.EXT2: 2, pickle.EXT4: 4}
_LENGTH_BYTES = {
    b"U": 1,
    b"C": 1,
    b"T": 4,
    b"B": 4,
    b"X": 4,
    pickle.SHORT_BINUNICODE: 1,
    pickle.LONG1: 1,
    pickle.LONG4: 4,
}
_LENGTH_BYTES |= {pickle.BINUNICODE8: 8, pickle.BINBYTES8: 8, pickle.BYTEARRAY8: 8, pickle.FRAME: 8}
_TEXTS = (pickle.BINUNICODE, pickle.BINUNICODE8)


class File(Protocol):
    """What an unpickler reads from."""

    def read(self, size: int = ..., /) -> bytes:
        """Read so many bytes, and fewer only at the end."""

    def readline(self) -> bytes:
        """Read up to and including the next newline."""


class SizedFile(File, Protocol):
    """A file whose length is known."""

    @property
    def size(self) -> int:
        """Total bytes, including those that were read."""


class Unpickler(pickle.Unpickler):
    """An unpickler whose memory is that of the result, as far as it is text.

    Args:
        file: Where the pickle comes from.
    """

    def __init__(self, file: File) -> None:
        self._instructions = _Instructions(file)
        super().__init__(self._instructions)

    def persistent_load(self, pid: Any) -> Any:
        """Return the text that a reference stands for."""
        if type(pid) is int and pid in self._instructions.texts:
            return self._instructions.texts.pop(pid)
        raise pickle.UnpicklingError("the pickle refers to an object outside of it")


class _Instructions:
    """Follows the instructions that the unpickler reads, and replaces each large text by a reference.

    Python's pickler leaves large texts out of its frames. Within a frame, or where the unpickler does not read one
    instruction after the other, nothing is replaced.
    """

    def __init__(self, file: File) -> None:
        self._file = file
        self._buffered = b""  # to be read before the file's next bytes
        self._instruction_bytes_left = 0  # bytes of the instruction that the unpickler is reading
        self.texts: dict[int, str] = {}
        self._count = 0

    def read(self, size: int = -1) -> bytes:
        if self._instruction_bytes_left:
            data, self._buffered = self._buffered[:size], self._buffered[size:]
            self._instruction_bytes_left = max(0, self._instruction_bytes_left - size)
            return data + self._file.read(size - len(data)) if len(data) < size else data
        data = self._file.read(size)
        if size == 1:
            return self._begin(data)
        return data

    def readline(self) -> bytes:
        return self._file.readline()

    def _begin(self, opcode: bytes) -> bytes:
        """Return the opcode of the next instruction, or of the one that replaces it."""
        self._instruction_bytes_left = _ARGUMENT_BYTES.get(opcode, 0)
        if width := _LENGTH_BYTES.get(opcode):
            self._buffered = self._file.read(width)
            length = int.from_bytes(self._buffered, "little")
            self._instruction_bytes_left = width + length
            if length >= LARGE_TEXT and opcode in _TEXTS:
                self.texts[self._count] = read_text(self._file, length, "surrogatepass")
                self._buffered = self._count.to_bytes(4, "little") + pickle.BINPERSID
                self._count += 1
                self._instruction_bytes_left = len(self._buffered)
                return pickle.BININT
        return opcode


def read_text(file: File, length: int, errors: str = "strict") -> str:
    """Read UTF-8 as a text, in chunks.

    Args:
        file: Where it is. One that has `read_text` may return a part as a text already, and need not copy it twice.
        length: How many to read.
        errors: How to handle invalid UTF-8, as for `bytes.decode`.

    Raises:
        EOFError: There are fewer.
        ValueError: They are no UTF-8.
    """
    if length > _MAX_TEXT_BYTES:
        raise EOFError("it speaks of a text that is longer than anything in S3")
    # `format_map` extends its result in place, and asks for the next chunk when it needs it. Joining chunks and
    # `io.StringIO` would copy the text; `+=` copies it each time when a debugger traces the frame.
    return ("{next}" * -(-length // _CHUNK_BYTES)).format_map(_Pieces(file, length, errors))


class _Pieces:
    def __init__(self, file: File, length: int, errors: str) -> None:
        self._read = file.read
        self._read_text: Callable[[int], str | bytes] = getattr(file, "read_text", file.read)
        self._left = length
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors)
        self._is_in_character = False

    def __getitem__(self, _: str) -> str:
        wanted = min(self._left, _CHUNK_BYTES)
        piece = self._read(wanted) if self._is_in_character else self._read_text(wanted)
        self._left -= wanted
        if isinstance(piece, str):
            return piece
        if len(piece) < wanted:
            raise EOFError("it breaks off within a text")
        text = self._decoder.decode(piece, not self._left)
        self._is_in_character = bool(self._decoder.getstate()[0])
        return text
