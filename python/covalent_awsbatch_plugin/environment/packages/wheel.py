"""A wheel as entries of a tar file: where each of its files belongs in a virtual environment, and what is refused."""

from __future__ import annotations

import collections
import configparser
import re
import stat
import struct
import zipfile
from collections.abc import Callable, Iterator
from importlib.util import cache_from_source
from pathlib import PurePosixPath
from typing import IO

from covalent_awsbatch_plugin.environment.distributions import CORE_FILE, CannotPackError
from covalent_awsbatch_plugin.environment.pack import PREFIX

from .splice import Splicer, deflated, inflated, pieces_of

# How a script finds the Python beside it, wherever that is: the shell runs the second line, Python sees a text there.
_SHEBANG = b"""#!/bin/sh
'''exec' "$(dirname "$0")/python" "$0" "$@"
' '''
"""
_SCRIPT = """\
import sys
from {module} import {first}
sys.exit({attribute}())
"""
_REFERENCE = re.compile(r"(?P<module>[\w.]+)\s*:\s*(?P<attribute>(?P<first>\w+)(?:\.\w+)*)\s*(?:\[.*\])?")
_SMALL = 1024 * 1024
_LARGEST_SOURCE = 4 * 1024 * 1024  # what is larger is imported without byte code
_NOT_PLAIN = 0x61
_UTF_8 = 0x800
_LOCAL_HEADER = 30
# What zipfile raises of a file that is none, is encrypted, or needs a later version of it (NotImplementedError).
_UNREADABLE = (ValueError, zipfile.BadZipFile, struct.error, NotImplementedError, EOFError, RuntimeError)


class _Wheel:
    """A wheel that is open.

    Args:
        file: The wheel.
        site: `site-packages` in the virtual environment.
    """

    def __init__(self, file: IO[bytes], site: str) -> None:
        self._file = file
        self.zip = zipfile.ZipFile(file)
        self.site = site
        self.entries = [entry for entry in self.zip.infolist() if not entry.filename.endswith("/")]
        folders = {PurePosixPath(entry.filename).parts[:1] for entry in self.entries}
        infos = [name for names in folders for name in names if name.endswith(".dist-info")]
        if len(infos) != 1:
            raise ValueError(f"it has {len(infos)} folders .dist-info")
        self.info = infos[0]
        self._data = self.info.removesuffix(".dist-info") + ".data"

    def place(self, entry: zipfile.ZipInfo) -> str:
        """Where a file belongs, relative to the virtual environment.

        Raises:
            ValueError: Outside of it, or it is no file.
        """
        path = PurePosixPath(entry.filename)
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise ValueError(f"{entry.filename!r} is a link or a device")
        if (
            not path.parts
            or path.is_absolute()
            or ".." in path.parts
            or str(path) != entry.filename
            or re.search(r"[\\\0-\x1f\x7f]|^[A-Za-z]:", entry.filename)
        ):
            raise ValueError(f"{entry.filename!r} would be written outside of the environment")
        if path.parts[0] != self._data:
            return f"{self.site}/{path}"
        if len(path.parts) < 3:
            raise ValueError(f"{entry.filename!r} belongs nowhere")
        scheme, rest = path.parts[1], "/".join(path.parts[2:])
        name = self.info.split("-")[0]
        minor = self.site.split("/")[1]
        folders = {
            "purelib": self.site,
            "platlib": self.site,
            "scripts": "bin",
            "headers": f"include/site/{minor}/{name}",
            "data": ".",
        }
        if scheme not in folders:
            raise ValueError(f"{entry.filename!r} belongs nowhere")
        return str(PurePosixPath(folders[scheme]) / rest)

    def raw(self, entry: zipfile.ZipInfo) -> Iterator[bytes]:
        """The content of a file as it stands in the wheel.

        Raises:
            ValueError: It is encrypted, packed otherwise, or not where the wheel says.
        """
        if entry.flag_bits & _NOT_PLAIN or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{entry.filename!r} is encrypted, or packed in another way than wheels are")
        self._file.seek(entry.header_offset)
        header = self._file.read(_LOCAL_HEADER)
        if len(header) < _LOCAL_HEADER or header[:4] != b"PK\3\4":
            raise ValueError(f"{entry.filename!r} is not where it should be")
        name, extra = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
        encoding = "utf-8" if entry.flag_bits & _UTF_8 else "cp437"
        if self._file.read(name) != entry.orig_filename.encode(encoding):
            raise ValueError(f"{entry.filename!r} has another name where it stands")
        self._file.seek(extra, 1)
        return pieces_of(self._file, entry.compress_size)

    def deflated(self, entry: zipfile.ZipInfo) -> Iterator[bytes]:
        """The content of a file, deflated."""
        return self.raw(entry) if entry.compress_type == zipfile.ZIP_DEFLATED else deflated(self.raw(entry))

    def inflated(self, entry: zipfile.ZipInfo) -> Iterator[bytes]:
        """The content of a file, checked."""
        # What is stored is read as it was taken over, so that the same is checked that is unpacked.
        return inflated(self.deflated(entry), entry.file_size, entry.CRC)

    def small(self, entry: zipfile.ZipInfo) -> bytes:
        """The content of a file that is looked into.

        Raises:
            ValueError: It is too large for that.
        """
        if entry.file_size > _SMALL:
            raise ValueError(f"{entry.filename!r} is too large")
        return b"".join(self.inflated(entry))

    def programs(self) -> Iterator[tuple[str, bytes]]:
        """The programs that its entry points stand for, with their names."""
        path = f"{self.info}/entry_points.txt"
        texts = [self.small(entry).decode() for entry in self.entries if entry.filename == path]
        parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
        parser.optionxform = str  # type: ignore[method-assign,assignment]  # names keep their case
        try:
            parser.read_string("".join(texts))
        except configparser.Error:
            raise ValueError("its entry points cannot be read") from None
        for section in ("console_scripts", "gui_scripts"):
            for name, reference in parser.items(section) if parser.has_section(section) else ():
                found = _REFERENCE.fullmatch(reference.strip())
                if found is None or not re.fullmatch(r"[\w.-]+", name) or name.startswith("."):
                    raise ValueError(f"its program {name!r} cannot be made")
                yield name, _SHEBANG + _SCRIPT.format(**found.groupdict()).encode()


def splice(wheel: IO[bytes], out: IO[bytes], python: str, compiled: Callable[[bytes, str], bytes | None]) -> None:
    """Writes a wheel as entries of a tar file, without its end, as members of a gzip file; the same bytes each time.

    Args:
        wheel: The wheel.
        out: Where to. What was written is of no use after an error.
        python: Minor version of Python, such as `3.11`.
        compiled: Makes byte code of a source, given its path in `site-packages`; None if that cannot be.

    Raises:
        CannotPackError: It is no wheel, or one that is not safe to unpack; the message says why.
    """
    try:
        opened = _Wheel(wheel, f"lib/python{python}/site-packages")
        target = Splicer(out)
        for place, entry in _spliced(opened, target):
            content = opened.inflated(entry)
            # What tests a package is rarely imported, and half of its byte code.
            is_source = place.endswith(".py") and place.startswith(opened.site) and not re.search("/tests?/", place)
            if is_source and entry.file_size <= _LARGEST_SOURCE:
                path = place.removeprefix(f"{opened.site}/")
                code = compiled(b"".join(content), path)
                if code is not None:
                    target.add(f"{PREFIX}/{opened.site}/{cache_from_source(path)}", code)
            else:
                collections.deque(content, 0)
        target.flush()
    except _UNREADABLE as error:
        raise CannotPackError(str(error)) from None


def core(wheel: IO[bytes], out: IO[bytes]) -> bool:
    """Writes the core of a wheel of this package, which `splice` leaves out.

    Args:
        wheel: The wheel.
        out: Where to. What was written is of no use after an error.

    Returns:
        Whether it has one.

    Raises:
        CannotPackError: It cannot be read.
    """
    try:
        opened = _Wheel(wheel, "")
        for entry in opened.entries:
            if entry.filename == CORE_FILE:
                out.writelines(opened.inflated(entry))
                return True
    except _UNREADABLE as error:
        raise CannotPackError(str(error)) from None
    return False


def _spliced(wheel: _Wheel, out: Splicer) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    """Writes the entries, and yields each with its place when it is written: it has still to be checked."""
    seen: set[str] = set()

    def target(place: str) -> str:
        if place in seen:
            raise ValueError(f"it has {place!r} twice")
        if re.fullmatch(r"bin/(python|pip)[\d.]*|pyvenv\.cfg", place):
            raise ValueError(f"{place!r} is the environment's own")
        seen.add(place)
        return f"{PREFIX}/{place}"

    for entry in sorted(wheel.entries, key=lambda entry: entry.filename):
        place = wheel.place(entry)
        if place.endswith((".pyc", CORE_FILE)):
            continue
        is_program = place.startswith("bin/")
        executable = is_program or bool((entry.external_attr >> 16) & 0o111)
        if is_program and entry.file_size <= _SMALL and (script := wheel.small(entry)).startswith(b"#!python"):
            out.add(target(place), _SHEBANG + script.partition(b"\n")[2], executable=True)
        else:
            out.take(target(place), entry.file_size, entry.CRC, wheel.deflated(entry), executable=executable)
        yield place, entry
    for name, program in wheel.programs():
        out.add(target(f"bin/{name}"), program, executable=True)
