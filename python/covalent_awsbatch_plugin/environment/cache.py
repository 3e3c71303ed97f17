"""Packages that were packed on this machine, found by what is installed, so that they are packed once."""

from __future__ import annotations

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
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path

from .distributions import CannotPackError, fingerprint

_FORMAT = 3
_KEPT_DAYS = 30
_PACKING_SECONDS = 900


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
        distributions: By their normalised names.
        folder: Where they belong in the environment's `lib/pythonX.Y`.
        more: Other files, texts by their paths in the environment.

    Raises:
        CannotPackError: One of them cannot be packed.
        OSError: The cache cannot be written to, for want of space or rights.
    """
    home = directory()
    more = more or {}
    place = home / _name(distributions, folder, more)
    found = next(place.glob("sha256-*.tar.gz"), None)
    if found is None:
        found = _pack(distributions, folder, more, place)
    with suppress(OSError):
        os.utime(place)  # in use
        _remove_old(home)
    return Packed(f"environments/{found.name}", found, len(distributions))


def directory() -> Path:
    """Where they are kept: below `XDG_CACHE_HOME`, or `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "covalent-awsbatch" / "environments"


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
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix="new-") as temporary:
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
            if (first := next(place.glob("sha256-*.tar.gz"), None)) is None:
                raise
            return first
    return place / name


def _remove_old(home: Path) -> None:
    """Removes what nobody has used for a month, also what a process left that was killed."""
    before = time.time() - _KEPT_DAYS * 24 * 3600
    for place in home.iterdir():
        if place.stat().st_mtime < before:
            shutil.rmtree(place, ignore_errors=True)
