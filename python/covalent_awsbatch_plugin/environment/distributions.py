"""What is installed here: packages with all that they need, and their files."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# Pages for a browser, which only the server shows.
_LEFT_OUT = ("covalent_ui/webapp/",)
CORE = "covalent-awsbatch-plugin:core"
OWN_REST = "covalent-awsbatch-plugin:rest"
SERVER = "covalent:server"
FORMER_PYDANTIC = "pydantic:v1"
"""Parts of packages that are packed apart: a package's name, and behind a colon that of its part."""

_OWN = "covalent_awsbatch_plugin"
CORE_FILE = f"{_OWN}/_core.abi3.so"
"""Where the core is in `site-packages`."""

CORE_SUFFIX = ".so"
"""Ends the names of files and objects that are the core, as it is."""

_NOT_OF_THE_RUNNER = "assets", "deploy", "doctor", "local", "options", "server", "show", "task"
_PARTS = {
    CORE: (CORE_FILE,),
    OWN_REST: tuple(f"{_OWN}/{folder}/" for folder in _NOT_OF_THE_RUNNER),
    SERVER: ("covalent_dispatcher/", "covalent_migrations/", "covalent_ui/"),
    FORMER_PYDANTIC: ("pydantic/v1/",),
}


class CannotPackError(Exception):
    """A package that is installed here cannot be packed; the message says which and why."""


@dataclass(frozen=True)
class File:
    """A file of a package.

    Attributes:
        path: Where it is to stand in `site-packages`.
        source: Where it is.
    """

    path: str
    source: Path


def closure(names: Iterable[str], markers: Mapping[str, str] | None = None) -> dict[str, Distribution]:
    """The packages of these names, and those that they need.

    Args:
        names: Requirements without versions, such as `covalent` or `dask[array]`.
        markers: What the platform for which they are needed says of itself (PEP 508), where it differs from this one.

    Returns:
        By normalised name, sorted.

    Raises:
        CannotPackError: One of them, or one that they need, is not installed.
    """
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    wanted = [Requirement(name) for name in names]
    while wanted:
        requirement = wanted.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            found[name] = distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            raise CannotPackError(f"{requirement} is needed and not installed here") from None
        needed = [Requirement(line) for line in distribution.requires or ()]
        wanted += [one for one in needed if _is_meant(one, extras, markers or {})]
    return dict(sorted(found.items()))


def files(distribution: Distribution, part: str = "") -> Iterator[File]:
    """The files of a package that belong into `site-packages`, without byte code.

    Args:
        distribution: The package.
        part: The part whose files are meant, such as `SERVER`; empty for what belongs to none.

    Raises:
        CannotPackError: What belongs to it is not on record.
    """
    beginnings = _PARTS.get(part) or tuple(beginning for one in _PARTS.values() for beginning in one)
    for file in _files(distribution):
        if file.path.startswith(beginnings) == bool(part):
            yield file


def _files(distribution: Distribution) -> Iterator[File]:
    name = distribution.metadata["Name"]
    if distribution.files is None:
        raise CannotPackError(f"{name} has no record of its files here, as pip and uv make one")
    if (directory := _source_directory(distribution)) is not None:
        yield from _files_below(directory)
    for file in distribution.files:
        path = PurePosixPath(file)
        # What is not below site-packages are programs, and data for the system.
        if ".." in path.parts or path.is_absolute() or path.suffix in (".pyc", ".pth"):
            continue
        source = Path(str(distribution.locate_file(file)))
        if not str(path).startswith(_LEFT_OUT) and source.is_file():
            yield File(str(path), source)


def modules(distribution: Distribution, part: str = "") -> set[str]:
    """The names of a package's modules and packages, at the top; of those of a part, such as `pydantic.v1`.

    Args:
        distribution: The package.
        part: See `files`.

    Raises:
        CannotPackError: As `files`.
    """
    if part:
        return {path.strip("/").replace("/", ".") for path in _PARTS[part]}
    tops = {PurePosixPath(file.path).parts[0] for file in files(distribution)}
    return {name for name in (top.partition(".")[0] for top in tops if "-" not in top) if name.isidentifier()}


def info_folder(distribution: Distribution) -> str:
    """The name of the folder that says which version of a package there is, such as `pydantic-2.12.0.dist-info`.

    Raises:
        CannotPackError: It has none on record.
    """
    for file in files(distribution):
        if (folder := PurePosixPath(file.path).parts[0]).endswith(".dist-info"):
            return folder
    raise CannotPackError(f"{distribution.metadata['Name']} has no record of its version here")


def fingerprint(distribution: Distribution) -> str:
    """What changes when a file of the package does: the hash of its record, or of all files if it is editable."""
    found = hashlib.sha256()
    if (directory := _source_directory(distribution)) is not None:
        for file in sorted(_files_below(directory), key=lambda file: file.path):
            found.update(file.path.encode() + b"\0" + hashlib.sha256(file.source.read_bytes()).digest())
    found.update((distribution.read_text("RECORD") or "").encode())
    return found.hexdigest()


def _is_meant(requirement: Requirement, extras: frozenset[str], markers: Mapping[str, str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({**markers, "extra": extra}) for extra in ("", *extras))


def _source_directory(distribution: Distribution) -> Path | None:
    """Where the package lies if it is installed in editable mode."""
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    if not origin.get("dir_info", {}).get("editable"):
        return None
    name = canonicalize_name(distribution.metadata["Name"]).replace("-", "_")
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise CannotPackError(f"{name} is installed in editable mode, and is no package of that name")
    return Path(next(iter(spec.submodule_search_locations)))


def _files_below(directory: Path) -> Iterator[File]:
    for source in directory.rglob("*"):
        if source.is_file() and source.suffix != ".pyc":
            yield File(str(PurePosixPath(directory.name, *source.relative_to(directory).parts)), source)
