"""Wheels as an index has them, and such as would leave their place."""

from __future__ import annotations

import io
import stat
import zipfile

Seeds = dict[str, bytes]


def small() -> Seeds:
    """One of each kind."""
    link = zipfile.ZipInfo("one/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    points = "[console_scripts]\nsay = one:main\n"
    ordinary = _made(("one/__init__.py", b"X = 1\n"), ("one-1.0.dist-info/entry_points.txt", points.encode()))
    data = [(f"one-1.0.data/{folder}/x", b"#!python\n") for folder in ("purelib", "scripts", "headers", "data")]
    return {
        "ordinary": ordinary,
        "data": _made(*data),
        "stored": _made(("one.py", b"X = 1\n"), method=zipfile.ZIP_STORED),
        "lzma": _made(("one.py", b"X = 1\n"), method=zipfile.ZIP_LZMA),
        "link": _made((link, b"/etc/passwd")),
        "outside": _made(("../../evil.py", b"")),
        "long": _made(("one/" + "x" * 200, b"")),
        "cut": ordinary[:-20],
        "checksum": ordinary[:40] + b"\xff" + ordinary[41:],
    }


def large() -> Seeds:
    """Much in few bytes, and many files."""
    many = [(f"one/{number}.py", b"X = 1\n") for number in range(500)]
    return {"zeros": _made(("one.bin", bytes(2 * 1024 * 1024))), "many": _made(*many)}


def _made(*files: tuple[zipfile.ZipInfo | str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in (("one-1.0.dist-info/METADATA", b"Name: one\n"), *files):
            entry = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)) if isinstance(name, str) else name
            entry.date_time = (2020, 1, 1, 0, 0, 0)
            archive.writestr(entry, content, method)
    return file.getvalue()
