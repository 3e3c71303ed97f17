"""Packages that were packed on this machine, found by what is installed, so that they are packed once."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path

from .distributions import CannotPackError, fingerprint

_FORMAT = 4
VARIABLE = "COVALENT_AWSBATCH_CACHE"
"""Variable with the directory where packed packages are kept."""

_KEPT_DAYS = 30
_PACKING_SECONDS = 900
_UNFINISHED = "new-"
_UNFINISHED_SECONDS = 2 * 3600  # longer than anything takes that has such a directory
_PIECE = 1024 * 1024


class DamagedError(OSError):
    """A file is not what was written: the power has cut it off, or a bad disk changed it. The message names it."""


@dataclass(frozen=True)
class Packed:
    """Packages in one file.

    Attributes:
        key: Key of the object in the bucket, which holds the hash of its content.
        file: The file on this machine.
        packages: How many packages it has.
        on_demand: Whether a job fetches it only when something in it is imported.
    """

    key: str
    file: Path
    packages: int
    on_demand: bool = False


def packed(
    distributions: Mapping[str, Distribution], folder: str = "site-packages", more: Mapping[str, str] | None = None
) -> Packed:
    """Packs installed packages, or finds them packed. Blocks, for seconds where they have to be packed.

    Args:
        distributions: By their normalised names, or those of parts of them.
        folder: Where they belong in the environment's `lib/pythonX.Y`.
        more: Other files, texts by their paths in the environment.

    Raises:
        CannotPackError: One of them cannot be packed.
        OSError: The cache cannot be written to, for want of space or rights.
    """
    home = directory()
    more = more or {}
    place = home / _name(distributions, folder, more)
    found = find(distributions, folder, more)
    if found is None:
        with _alone(home):
            found = find(distributions, folder, more)
            found = found or _packed(_pack(distributions, folder, more, place), distributions)
    with suppress(OSError):
        os.utime(place)  # in use
        _remove_old(home)
    return found


def find(
    distributions: Mapping[str, Distribution], folder: str = "site-packages", more: Mapping[str, str] | None = None
) -> Packed | None:
    """The file that `packed` would return, if it is there already.

    Args:
        distributions: See there.
        folder: See there.
        more: See there.

    Raises:
        CannotPackError: One of them cannot be packed.
    """
    place = directory() / _name(distributions, folder, more or {})
    file = next(place.glob("sha256-*.tar.gz"), None)
    return None if file is None else _packed(file, distributions)


def verify(one: Packed) -> None:
    """Compares a file with the hash in its name, and removes one that differs, so that it is made anew.

    Raises:
        DamagedError: It differs.
        OSError: It cannot be read.
    """
    sha256 = hashlib.sha256()
    with one.file.open("rb") as file:
        while piece := file.read(_PIECE):
            sha256.update(piece)
    if sha256.hexdigest() not in one.key:
        forget(one)
        raise DamagedError(f"{one.file} is damaged")


def forget(one: Packed) -> None:
    """Has packages packed again that a file holds which is damaged, or out of date."""
    shutil.rmtree(one.file.parent, ignore_errors=True)


def directory() -> Path:
    """Where they are kept: where `COVALENT_AWSBATCH_CACHE` says, else below `XDG_CACHE_HOME`, or `~/.cache`."""
    if given := os.environ.get(VARIABLE):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "covalent-awsbatch" / "environments"


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Lets one process of a machine pack at a time: the others find its work done."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = os.open(home, os.O_RDONLY)
    try:
        with suppress(OSError):  # without locks, as on some network file systems, the first to end is taken
            fcntl.flock(place, fcntl.LOCK_EX)
        yield
    finally:
        os.close(place)


def _packed(file: Path, distributions: Mapping[str, Distribution]) -> Packed:
    return Packed(f"environments/{file.name}", file, sum(":" not in name for name in distributions))


def _name(distributions: Mapping[str, Distribution], folder: str, more: Mapping[str, str]) -> str:
    """What changes when the content of the file would."""
    content = {
        "format": _FORMAT,
        "python": importlib.util.MAGIC_NUMBER.hex(),
        "platform": [sys.platform, platform.machine()],
        "folder": folder,
        "more": dict(more),
        "packages": [[name, one.version, fingerprint(one)] for name, one in sorted(distributions.items())],
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _pack(distributions: Mapping[str, Distribution], folder: str, more: Mapping[str, str], place: Path) -> Path:
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=_UNFINISHED) as temporary:
        file = Path(temporary) / "packed"
        program = [sys.executable, "-W", "ignore", "-m", f"{__package__}.pack", folder, str(file)]
        program += sorted(distributions)
        # The same bytes each time: see `pack`. What is installed is found where this process finds it.
        variables = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        try:
            ended = subprocess.run(
                program,
                env=variables,
                input=json.dumps(more).encode(),
                capture_output=True,
                timeout=_PACKING_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise CannotPackError(f"packing took more than {_PACKING_SECONDS} s") from None
        if ended.returncode:
            raise CannotPackError(ended.stderr.decode(errors="replace").strip().rpartition("\n")[2])
        sha256 = hashlib.sha256(file.read_bytes())
        finished = Path(temporary) / "finished"
        finished.mkdir()
        name = f"sha256-{sha256.hexdigest()}.tar.gz"
        file.rename(finished / name)
        try:
            finished.rename(place)
        except OSError:
            # Another process was first. What it has is as good, also if it should differ in a byte.
            if (first := next(place.glob("sha256-*.tar.gz"), None)) is not None:
                return first
            if not place.is_dir():
                raise
            shutil.rmtree(place)  # somebody has removed the file alone
            finished.rename(place)
    return place / name


def _remove_old(home: Path) -> None:
    """Removes what nobody has used for a month, and sooner what a process left that was killed."""
    now = time.time()
    for place in home.iterdir():
        kept = _UNFINISHED_SECONDS if place.name.startswith(_UNFINISHED) else _KEPT_DAYS * 24 * 3600
        if place.stat().st_mtime < now - kept:
            shutil.rmtree(place, ignore_errors=True)
