"""Wheels as objects of a bucket: built once on this machine, and joined so that there are not too many of them."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from covalent_awsbatch_plugin.environment import cache
from covalent_awsbatch_plugin.environment.cache import Packed
from covalent_awsbatch_plugin.environment.distributions import CORE_SUFFIX, CannotPackError

from .download import downloaded
from .resolve import Wheel
from .splice import END, member

_FORMAT = "2"
_LARGE = 1024 * 1024
_ALONE = 20
_GROUPS = 24
_SECONDS = 1800
_PIECE = 1024 * 1024
_PATTERN = "sha256-*.tar.gz"


def packed(wheels: list[Wheel], python: str, variables: Callable[[], Mapping[str, str]]) -> list[Packed]:
    """The objects that hold wheels. Each large wheel has its own; the small ones share some, by their names.

    So one small package more changes one of these, and there are never more than 44.

    Args:
        wheels: Which.
        python: Minor version of Python, such as `3.11`.
        variables: Makes what `index.variables` returns, where an index has to be asked.

    Raises:
        CannotPackError: One of them cannot be had, or is not safe to unpack.
        OSError: The cache cannot be written to.
    """
    if missing := [wheel for wheel in wheels if _built(wheel) is None]:
        _build(missing, python, variables())
    files = {wheel: _built(wheel) for wheel in wheels}
    sizes = {wheel: file.stat().st_size for wheel, file in files.items() if file}
    alone = {wheel for wheel in sorted(sizes, key=lambda wheel: -sizes[wheel])[:_ALONE] if sizes[wheel] >= _LARGE}
    groups: dict[int, list[Path]] = {}
    for wheel in sorted(wheels, key=lambda wheel: wheel.name):
        if wheel not in alone:
            number = int(hashlib.sha256(wheel.name.encode()).hexdigest(), 16) % _GROUPS
            groups.setdefault(number, []).append(_found(wheel))
    objects = [_object(_found(wheel), 1) for wheel in wheels if wheel in alone]
    return objects + [_object(_joined(group), len(group)) for _, group in sorted(groups.items())]


def core(wheel: Wheel, python: str, variables: Callable[[], Mapping[str, str]]) -> Packed:
    """The object that is the core of a wheel of this package, which `packed` leaves out; the rest as for that.

    Args:
        wheel: The wheel.
        python: See there.
        variables: See there.
    """
    for _ in range(2):
        if _built(wheel) is None:
            _build([wheel], python, variables())
        for file in _place(wheel).glob(f"sha256-*{CORE_SUFFIX}"):
            return _object(file, 0)
        shutil.rmtree(_place(wheel), ignore_errors=True)  # somebody has removed the core alone
    raise CannotPackError(f"{wheel.file} has no core")


def stored(content: bytes, suffix: str) -> Packed:
    """An object that is not of wheels, found by its content.

    Args:
        content: What it has to contain.
        suffix: Ends its name.

    Raises:
        OSError: The cache cannot be written to.
    """
    if (found := find(content, suffix)) is None:
        file = _stored_file(content, suffix)
        with _new() as temporary:
            (temporary / file.name).write_bytes(content)
            _take(temporary, file.parent, file.name)
        return _object(file, 0)
    with suppress(OSError):
        os.utime(found.file.parent)  # in use
    return found


def find(content: bytes, suffix: str) -> Packed | None:
    """The object that `stored` would return, if it is there already; the arguments are the same."""
    file = _stored_file(content, suffix)
    return _object(file, 0) if file.exists() else None


def _stored_file(content: bytes, suffix: str) -> Path:
    place = hashlib.sha256(content + suffix.encode()).hexdigest()
    return cache.directory() / place / f"sha256-{hashlib.sha256(content).hexdigest()}{suffix}"


def _object(file: Path, packages: int) -> Packed:
    return Packed(f"environments/{file.name}", file, packages)


def _place(wheel: Wheel) -> Path:
    content = f"{_FORMAT} {importlib.util.MAGIC_NUMBER.hex()} {wheel.sha256}"
    return cache.directory() / hashlib.sha256(content.encode()).hexdigest()


def _built(wheel: Wheel) -> Path | None:
    place = _place(wheel)
    found = next(place.glob(_PATTERN), None)
    if found is not None:
        with suppress(OSError):
            os.utime(place)  # in use
    return found


def _found(wheel: Wheel) -> Path:
    file = _built(wheel)
    if file is None:  # removed meanwhile
        raise CannotPackError(f"{wheel.file} is not in {cache.directory()} any more")
    return file


def _new() -> _Temporary:
    home = cache.directory()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return _Temporary(dir=home, prefix="new-")


class _Temporary(tempfile.TemporaryDirectory[str]):
    def __enter__(self) -> Path:  # type: ignore[override]
        return Path(super().__enter__())


def _build(wheels: list[Wheel], python: str, variables: Mapping[str, str]) -> None:
    with _new() as temporary:
        files = downloaded(wheels, temporary, variables)
        targets = [temporary / f"{number}" for number in range(len(wheels))]
        pairs = [str(path) for pair in zip(files, targets, strict=True) for path in pair]
        environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        program = [sys.executable, "-W", "ignore", "-m", f"{__package__}.build", python, *pairs]
        try:
            ended = subprocess.run(
                program,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise CannotPackError(f"packing took more than {_SECONDS} s") from None
        if ended.returncode:
            why = ended.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            for wheel in wheels:
                why = why.replace(wheel.sha256, wheel.file)
            raise CannotPackError(why)
        for wheel, target in zip(wheels, targets, strict=True):
            _finish(target, _place(wheel), target.with_suffix(CORE_SUFFIX))


def _joined(files: list[Path]) -> Path:
    """Some files as one, which ends once."""
    name = hashlib.sha256(" ".join([_FORMAT, *(file.name for file in files)]).encode()).hexdigest()
    place = cache.directory() / name
    found = next(place.glob(_PATTERN), None)
    if found is not None:
        os.utime(place)
        return found
    end = len(member(END))
    with _new() as temporary:
        target = temporary / "joined"
        with target.open("wb") as out:
            for file in files:
                with file.open("rb") as part:
                    left = file.stat().st_size - end
                    while left:
                        left -= out.write(part.read(min(left, _PIECE)))
            out.write(member(END))
        return _finish(target, place)


def _finish(file: Path, place: Path, core: Path | None = None) -> Path:
    """Gives a file the name of its content, in its place, and so the core beside it, if that is there."""
    finished = file.with_name(f"{file.name}-finished")
    finished.mkdir()
    file.rename(finished / f"sha256-{_sha256(file)}.tar.gz")
    if core and core.exists():
        core.rename(finished / f"sha256-{_sha256(core)}{CORE_SUFFIX}")
    _take(finished, place, _PATTERN)
    for made in place.glob(_PATTERN):
        return made
    raise FileNotFoundError(f"{place} was removed meanwhile")


def _sha256(file: Path) -> str:
    sha256 = hashlib.sha256()
    with file.open("rb") as content:
        for piece in iter(lambda: content.read(_PIECE), b""):
            sha256.update(piece)
    return sha256.hexdigest()


def _take(finished: Path, place: Path, pattern: str) -> None:
    """Puts a directory in its place, unless another process was first, and has a file of this pattern there."""
    try:
        finished.rename(place)
    except OSError:
        if not place.is_dir():
            raise
        if next(place.glob(pattern), None) is not None:  # which is as good
            shutil.rmtree(finished, ignore_errors=True)
            return
        shutil.rmtree(place)  # somebody has removed the file alone
        finished.rename(place)
