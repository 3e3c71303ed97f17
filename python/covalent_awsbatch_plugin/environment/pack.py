"""Packs installed packages as those of a virtual environment: `python -m …environment.pack FOLDER FILE NAME …`.

It runs as a process of its own, since byte code takes seconds of processor time, and so that the same packages give the
same bytes: strings are hashed alike, and nothing was imported before that would change how a constant is written.
"""

from __future__ import annotations

import gzip
import importlib.metadata
import importlib.util
import io
import json
import marshal
import os
import stat
import sys
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from .distributions import CannotPackError, File, files

LEVEL = 6
"""How much time compression takes: a higher one takes some times as much for 1 %."""

PREFIX = "opt/job"
"""Where the virtual environment stands in the file: below `/` if that is a layer of an image."""

LIBRARY = "lib/python{}.{}".format(*sys.version_info)
"""Where its packages are."""


def pack(names: Iterable[str], folder: str, more: Mapping[str, bytes], file: Path) -> None:
    """Writes packages to a tar file, with byte code; the same bytes each time.

    Args:
        names: Of the packages, or of parts of them.
        folder: Where they belong in the environment's `lib/pythonX.Y`.
        more: Other files, by their paths in the environment. Those with a `bin` are programs.
        file: What is written.

    Raises:
        CannotPackError: What belongs to one of them is not on record.
    """
    found = {}
    for name in names:
        package, _, part = name.partition(":")
        for one in files(importlib.metadata.distribution(package), part and name):
            found[one.path] = one
    with (
        file.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=LEVEL, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.GNU_FORMAT) as tar,
    ):
        for path, content in sorted(more.items()):
            _add(tar, f"{PREFIX}/{path}", content, executable=path.startswith("bin/"))
        place = f"{PREFIX}/{LIBRARY}/{folder}"
        for path in sorted(found):
            _add_file(tar, place, found[path])


def _add_file(tar: tarfile.TarFile, site: str, file: File) -> None:
    content = file.source.read_bytes()
    executable = bool(file.source.stat().st_mode & stat.S_IXUSR) or ".so" in file.path
    _add(tar, f"{site}/{file.path}", content, executable=executable)
    if file.path.endswith(".py"):
        code = byte_code(content, file.path)
        if code is not None:
            path = PurePosixPath(file.path)
            cached = PurePosixPath(importlib.util.cache_from_source(str(path)))
            _add(tar, f"{site}/{cached}", code, executable=False)


def byte_code(source: bytes, path: str) -> bytes | None:
    """Byte code that is not compared with its source (PEP 552); None if it is no Python of this version."""
    try:
        code = compile(source, path, "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError):
        return None
    unchecked = (1).to_bytes(4, "little")
    return importlib.util.MAGIC_NUMBER + unchecked + importlib.util.source_hash(source) + marshal.dumps(code)


def _add(tar: tarfile.TarFile, path: str, content: bytes, *, executable: bool) -> None:
    entry = tarfile.TarInfo(path)
    entry.size = len(content)
    entry.mode = 0o755 if executable else 0o644
    stream: IO[bytes] = io.BytesIO(content)
    tar.addfile(entry, stream)


if __name__ == "__main__":
    os.nice(5)
    FOLDER, FILE, *NAMES = sys.argv[1:]
    try:
        pack(NAMES, FOLDER, {path: text.encode() for path, text in json.load(sys.stdin).items()}, Path(FILE))
    except (CannotPackError, OSError) as error:
        sys.exit(str(error))
