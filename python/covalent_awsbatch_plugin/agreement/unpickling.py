"""Unpickling without a second copy of large texts.

What Covalent hands around is mostly one long text, a `TransportableObject`'s base64. Python's unpickler reads a text as
bytes, whole, and then makes the text of them: twice the memory, and nobody else may run meanwhile. Here the text is put
together piece by piece while it arrives.
"""

from __future__ import annotations

import codecs
import pickle
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

LARGE_TEXT = 1024 * 1024
"""Texts from this many bytes on are dealt with in pieces."""

_LARGEST = 5 * 1024**4  # no object in S3 is larger
_PIECE = 512 * 1024  # small enough for the processor's cache, and to let other threads run in between

# Bytes of an instruction's argument, or of the length that precedes its argument (a frame's content counts as one).
# Instructions that are left out have no argument, or lines, which the unpickler reads as such.
_FIXED = {b"K": 1, b"M": 2, b"J": 4, b"G": 8, b"h": 1, b"j": 4, b"q": 1, b"r": 4}
_FIXED |= {pickle.PROTO: 1, pickle.EXT1: 1, pickle.EXT2: 2, pickle.EXT4: 4}
_COUNTED = {b"U": 1, b"C": 1, b"T": 4, b"B": 4, b"X": 4, pickle.SHORT_BINUNICODE: 1, pickle.LONG1: 1, pickle.LONG4: 4}
_COUNTED |= {pickle.BINUNICODE8: 8, pickle.BINBYTES8: 8, pickle.BYTEARRAY8: 8, pickle.FRAME: 8}
_TEXTS = (pickle.BINUNICODE, pickle.BINUNICODE8)


class File(Protocol):
    """What an unpickler reads from."""

    def read(self, size: int = ..., /) -> bytes:
        """Bring so many bytes, and fewer only at the end."""

    def readline(self) -> bytes:
        """Bring the bytes up to the next newline, and that."""


class SizedFile(File, Protocol):
    """The same, whose length is known."""

    @property
    def size(self) -> int:
        """Bytes in all, those that were read among them."""


class Unpickler(pickle.Unpickler):
    """An unpickler whose memory is that of the result, as far as it is text.

    Args:
        file: Where the pickle comes from.
    """

    def __init__(self, file: File) -> None:
        self._instructions = _Instructions(file)
        super().__init__(self._instructions)

    def persistent_load(self, pid: Any) -> Any:
        """Bring the text that stands at this place of the pickle."""
        if type(pid) is int and pid in self._instructions.texts:
            return self._instructions.texts.pop(pid)
        raise pickle.UnpicklingError("the pickle refers to an object outside of it")


class _Instructions:
    """Follows the instructions as the unpickler reads them, and puts a reference in the place of each large text.

    Python's pickler leaves large texts out of its frames. Within a frame, or where the unpickler does not read one
    instruction after the other, everything passes as it is.
    """

    def __init__(self, file: File) -> None:
        self._file = file
        self._ahead = b""  # to be read before the file's next bytes
        self._rest = 0  # bytes of the instruction that the unpickler is reading
        self.texts: dict[int, str] = {}
        self._count = 0

    def read(self, size: int = -1) -> bytes:
        if self._rest:
            data, self._ahead = self._ahead[:size], self._ahead[size:]
            self._rest = max(0, self._rest - size)
            return data + self._file.read(size - len(data)) if len(data) < size else data
        data = self._file.read(size)
        if size == 1:
            return self._begin(data)
        return data

    def readline(self) -> bytes:
        return self._file.readline()

    def _begin(self, opcode: bytes) -> bytes:
        """The next instruction: its first byte, or that of the one in its place."""
        self._rest = _FIXED.get(opcode, 0)
        if width := _COUNTED.get(opcode):
            self._ahead = self._file.read(width)
            length = int.from_bytes(self._ahead, "little")
            self._rest = width + length
            if length >= LARGE_TEXT and opcode in _TEXTS:
                self.texts[self._count] = read_text(self._file.read, length, "surrogatepass")
                self._ahead = self._count.to_bytes(4, "little") + pickle.BINPERSID
                self._count += 1
                self._rest = len(self._ahead)
                return pickle.BININT
        return opcode


def read_text(read: Callable[[int], bytes], length: int, errors: str = "strict") -> str:
    """Read bytes of UTF-8 as a text, in pieces.

    Args:
        read: Brings so many bytes, and fewer only at the end.
        length: How many to read.
        errors: What to do about what is no UTF-8, as for `bytes.decode`.

    Raises:
        EOFError: There are fewer.
        ValueError: They are no UTF-8.
    """
    if length > _LARGEST:
        raise EOFError("it speaks of a text that is longer than anything in S3")
    # Formatting lets a text grow in place, and asks for what comes next when it has come to it. To join pieces, or to
    # take what an `io.StringIO` has collected, would be a copy; `+=` is one under a debugger, and then each time.
    return ("{next}" * -(-length // _PIECE)).format_map(_Pieces(read, length, errors))


class _Pieces:
    def __init__(self, read: Callable[[int], bytes], length: int, errors: str) -> None:
        self._read = read
        self._left = length
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors)

    def __getitem__(self, _: str) -> str:
        wanted = min(self._left, _PIECE)
        piece = self._read(wanted)
        if len(piece) < wanted:
            raise EOFError("it breaks off within a text")
        self._left -= wanted
        return self._decoder.decode(piece, not self._left)
