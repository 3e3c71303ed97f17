"""A large result whose content is in a file, and in memory only while somebody asks for it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from covalent._workflow.transport import TransportableObject

from covalent_awsbatch_plugin import errors

from . import presence

LARGE_BYTES = 8 * 1024 * 1024
"""A file of this size or more is not read as a whole."""

_OFFSET_BYTES = 8
_PIECE_BYTES = 1024 * 1024
_LEFT_SECONDS = 24 * 3600.0


class StoredObject(TransportableObject):  # type: ignore[misc]  # covalent ships no types
    """A `TransportableObject` in a file as `serialize` makes it. Whoever pickles it gets a plain one.

    Args:
        path: The file, which stays as it is.
        start: Where the content begins in it.
        text: The value as `str` shows it.
        header: Versions, and what is known of the value.

    Attributes:
        nbytes: Bytes of the content in base64; arrays, too, tell their size by this name.
    """

    __slots__ = ("_path", "_start", "nbytes")  # not in the dict, so no part of the value

    def __init__(self, path: Path, start: int, text: str, header: dict[str, Any]) -> None:
        self.__dict__.update(_object_string=text, _header=header)
        self._path = path
        self._start = start
        self.nbytes = path.stat().st_size - start

    @property
    def _object(self) -> str:
        return b"".join(self.pieces()).decode("ascii")

    def __eq__(self, other: object) -> bool:
        return bool(self._plain() == (other._plain() if isinstance(other, StoredObject) else other))

    __hash__ = None  # type: ignore[assignment]  # as Covalent's

    def __reduce__(self) -> Any:
        return object.__new__, (TransportableObject,), {**self.__dict__, "_object": self._object}

    def pieces(self) -> Iterator[bytes]:
        """The content in base64, piece by piece."""
        with self._path.open("rb") as file:
            file.seek(self._start)
            while piece := file.read(_PIECE_BYTES):
                yield piece

    def copy_to(self, path: Path) -> None:
        """Write what `serialize` returns into a file, without having it in memory."""
        with contextlib.suppress(shutil.SameFileError):  # stored again where it came from
            shutil.copyfile(self._path, path)

    def serialize(self) -> bytes:
        """As Covalent's."""
        return self._path.read_bytes()

    def to_dict(self) -> dict[str, Any]:
        """As Covalent's."""
        return dict(self._plain().to_dict())

    def _plain(self) -> Any:
        function, arguments, state = self.__reduce__()
        plain = function(*arguments)
        vars(plain).update(state)
        return plain


def chars(value: Any) -> int:
    """Characters of a value's content in base64.

    Args:
        value: A `TransportableObject`.
    """
    return value.nbytes if type(value) is StoredObject else len(value.get_serialized())


def of_file(path: Path) -> StoredObject:
    """What a file of Covalent's has, which stays as it is.

    Args:
        path: The file.

    Raises:
        ValueError: It is something else.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        text_at, start = (int.from_bytes(file.read(_OFFSET_BYTES), "big") for _ in range(2))
        if not 2 * _OFFSET_BYTES <= text_at <= start <= path.stat().st_size:
            raise ValueError(f"{path} is no serialised TransportableObject")
        header = json.loads(file.read(text_at - 2 * _OFFSET_BYTES))
        text = file.read(start - text_at).decode("utf-8")
    return StoredObject(path, start, text, header)


def of_pieces(pieces: Iterator[bytes], text: str, header: dict[str, Any]) -> StoredObject:
    """Put a content into a file that ends with the object. Blocks.

    Args:
        pieces: The content in base64.
        text: The value as `str` shows it.
        header: Versions, and what is known of the value.

    Raises:
        ResultError: The file cannot be written.
    """
    versions, shown = json.dumps(header).encode(), text.encode()
    text_at = 2 * _OFFSET_BYTES + len(versions)
    with _explained():
        handle, name = tempfile.mkstemp(dir=_directory())
    path = Path(name)
    try:
        try:
            offsets = (offset.to_bytes(_OFFSET_BYTES, "big") for offset in (text_at, text_at + len(shown)))
            for piece in chain(offsets, [versions, shown], pieces):
                with _explained():
                    _write(handle, piece)
        finally:
            os.close(handle)
        stored = StoredObject(path, text_at + len(shown), text, header)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    weakref.finalize(stored, _remove, path, os.getpid())
    return stored


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Says of what fails that it is the file; where the pieces come from, other things fail."""
    try:
        yield
    except OSError as error:
        raise errors.ResultError(
            f"The result cannot be put into a file in {_place()}: {error}. Make room there, or have the function "
            "store it and return where it is."
        ) from error


def _remove(path: Path, owner: int) -> None:
    if os.getpid() == owner:  # and not a child of fork(), which has a copy of the object
        path.unlink(missing_ok=True)


def _place() -> Path:
    """Where files stand that are not Covalent's yet."""
    return presence.directory() / "results"


def _directory() -> Path:
    """The same, made if need be, without what a process left that was killed."""
    place = _place()
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in place.iterdir():
        with contextlib.suppress(OSError):  # gone meanwhile, or somebody else's: it is in nobody's way
            if time.time() - left.stat().st_mtime > _LEFT_SECONDS:
                left.unlink()
    return place
