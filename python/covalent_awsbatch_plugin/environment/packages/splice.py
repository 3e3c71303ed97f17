"""Entries of a tar file as members of a gzip file, into which deflated data is taken over as it is.

A gzip file may have any number of members, which are read as one. So what a wheel holds, which is deflated already,
is not compressed again: a member is a header of ten bytes, the deflated data, its checksum and its length.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterable, Iterator
from typing import IO

_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_BLOCK = 512
_CHUNK = 64 * 1024
_INFLATED = 256 * 1024

END = bytes(2 * _BLOCK)
"""What a tar file ends with."""


class Splicer:
    """Writes entries of a tar file, without its end, so that several such files after one another are one.

    Args:
        file: Where to.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._pending = b""  # what goes between the contents of two entries, as one member

    def add(self, path: str, content: bytes, *, executable: bool = False) -> None:
        """Writes an entry with this content."""
        self._pending += _entry(path, len(content), executable=executable) + content + _padding(len(content))

    def take(self, path: str, size: int, crc: int, deflated: Iterable[bytes], *, executable: bool) -> None:
        """Writes an entry whose content is deflated already.

        Args:
            path: Where it is to stand.
            size: Bytes of the content.
            crc: Its checksum.
            deflated: Pieces of the deflated content. Whether it is what `size` and `crc` say, `inflated` tells.
            executable: Whether it may be run.
        """
        self._pending += _entry(path, size, executable=executable)
        self.flush()
        self._file.write(_HEADER)
        for piece in deflated:
            self._file.write(piece)
        self._file.write(crc.to_bytes(4, "little") + (size % 2**32).to_bytes(4, "little"))
        self._pending = _padding(size)

    def flush(self) -> None:
        """Writes what is pending; to be called at the end."""
        if self._pending:
            self._file.write(member(self._pending))
            self._pending = b""


def member(content: bytes) -> bytes:
    """A member of a gzip file; the same bytes each time."""
    deflate = zlib.compressobj(6, wbits=-zlib.MAX_WBITS)
    checks = zlib.crc32(content).to_bytes(4, "little") + (len(content) % 2**32).to_bytes(4, "little")
    return _HEADER + deflate.compress(content) + deflate.flush() + checks


def deflated(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Deflates pieces of a content that is not."""
    deflate = zlib.compressobj(6, wbits=-zlib.MAX_WBITS)
    for piece in pieces:
        yield deflate.compress(piece)
    yield deflate.flush()


def pieces_of(file: IO[bytes], size: int) -> Iterator[bytes]:
    """So many bytes of a file, in pieces.

    Raises:
        ValueError: There are fewer.
    """
    while size:
        piece = file.read(min(size, _CHUNK))
        if not piece:
            raise ValueError("it breaks off")
        size -= len(piece)
        yield piece


def inflated(pieces: Iterable[bytes], size: int, crc: int) -> Iterator[bytes]:
    """Inflates a content. What is longer or shorter than it says would make another entry of what follows it.

    Args:
        pieces: The deflated content, all that there is of it.
        size: Bytes that it has to have.
        crc: Its checksum.

    Raises:
        ValueError: It has not, or there is more behind its end.
    """
    inflate = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    length = found = 0
    for piece in pieces:
        rest = piece
        while rest and not inflate.eof:
            try:
                content = inflate.decompress(rest, _INFLATED)
            except zlib.error:
                raise ValueError("it is no deflated data") from None
            length, found, rest = length + len(content), zlib.crc32(content, found), inflate.unconsumed_tail
            if length > size:
                break
            yield content
        if length > size or inflate.unused_data or rest:
            raise ValueError("it is longer than it says")
    while content := inflate.decompress(b"", _INFLATED):  # left where the last piece filled the window
        length, found = length + len(content), zlib.crc32(content, found)
        yield content
    if not inflate.eof or (length, found) != (size, crc):
        raise ValueError("it is not what its checksum says")


def _entry(path: str, size: int, *, executable: bool) -> bytes:
    entry = tarfile.TarInfo(path)
    entry.size = size
    entry.mode = 0o755 if executable else 0o644
    return entry.tobuf(tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)
