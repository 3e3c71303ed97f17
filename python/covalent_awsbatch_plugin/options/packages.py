"""The option `packages`: what it may be, and what stands for it in the executor that travels to the server.

That is a list of texts: requirements as in a requirements file, each with the hashes that its files may have, and
`--constraint=…` for the version of what may have to be there besides.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import logging
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CONSTRAINT = "--constraint="
_HASH = re.compile(r"\s+--hash[= ]sha256:([0-9a-f]{64})")
# Not the function's: the server has its own Covalent, and the job's image its own pip.
_SERVERS = frozenset({"covalent", "covalent-awsbatch-plugin"})
_TOOLS = frozenset({"pip", "setuptools", "uv", "wheel"})

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Line:
    """A text of the list.

    Attributes:
        text: Name, versions and marker.
        name: The normalised name.
        hashes: SHA-256 that its files may have; empty for any.
        is_constraint: Whether it may be absent.
    """

    text: str
    name: str
    hashes: frozenset[str]
    is_constraint: bool


def parsed(line: str) -> Line:
    """Reads a text of the list.

    Raises:
        ValueError: It is something else: an option of pip, a path or an address.
    """
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    found = frozenset(_HASH.findall(line))
    text = _HASH.sub("", line)
    is_constraint = text.startswith(_CONSTRAINT)
    try:
        requirement = Requirement(text.removeprefix(_CONSTRAINT))
    except InvalidRequirement:
        raise ValueError("no requirement") from None
    if requirement.url:
        raise ValueError("an address")
    return Line(str(requirement), canonicalize_name(requirement.name), found, is_constraint)


def checked(value: Any) -> Any:
    """Checks what is given for the option.

    Raises:
        ValueError: It cannot be that; the message does not show what may have a password in it.
    """
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, str):
        if value not in ("", "sync") and not value.endswith((".txt", ".in", ".toml")) and not value.startswith("["):
            raise ValueError("a single package is a list, too: ['numpy']" if "/" not in value else "no such file")
        if not value.startswith("["):
            return value
        value = json.loads(value)  # as Terraform and a flat configuration file have it
    if not isinstance(value, (list, tuple)) or not all(isinstance(line, str) for line in value):
        raise ValueError(f"it is a {type(value).__name__}")
    number = 0
    try:
        for number, line in enumerate(value, 1):  # noqa: B007
            parsed(line)
    except ValueError as error:
        raise ValueError(f"number {number} is {error}: only names and versions, as in 'numpy>=2'") from None
    return list(value)


def captured(packages: str | list[str]) -> list[str]:
    """What stands for the option in an executor that travels: reads files, and looks at what is installed here.

    Raises:
        SettingsError: A file cannot be read, or has something in it that cannot travel.
    """
    if not isinstance(packages, str):
        return packages
    if packages == "sync":
        return list(_installed(tuple(sys.path), _ages()))
    if not packages:
        return []
    from covalent_awsbatch_plugin.errors import SettingsError

    path = Path(packages).expanduser()
    try:
        lines_ = list(_of_lock(path) if path.suffix == ".toml" else _of_file(path))
        for line in lines_:
            parsed(line)
    except OSError as error:
        raise SettingsError(f"AWSBatchExecutor: packages={packages!r} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(
            f"AWSBatchExecutor: packages={packages!r} has something in it that is no name with versions, such as an "
            f"option of pip, a path or an address ({type(error).__name__}). An index is named where the server has its "
            "configuration of pip or uv."
        ) from None
    return lines_


def lines(content: str) -> list[str]:
    """The lines of a requirements file, without comments."""
    joined = re.sub(r"\\\r?\n", " ", content)
    stripped = (re.sub(r"(^|\s)#.*", "", line).strip() for line in joined.splitlines())
    return [line for line in stripped if line]


def toml(text: str) -> dict[str, Any]:
    """Reads TOML.

    Raises:
        ValueError: It is none.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return dict(tomllib.loads(text))


def _of_file(path: Path, prefix: str = "", depth: int = 8) -> Iterator[str]:
    for line in lines(path.read_text(encoding="utf-8")):
        other = re.fullmatch(r"(-r|--requirement|-c|--constraint)[ =]\s*(\S+)", line)
        if other and depth:
            yield from _of_file(path.parent / other[2], _CONSTRAINT if "c" in other[1][:3] else prefix, depth - 1)
        else:
            yield prefix + line


def _of_lock(path: Path) -> Iterator[str]:
    """The packages of a `pylock.toml` (PEP 751), each in its version, and with the hashes of the wheels for Linux."""
    for package in toml(path.read_text(encoding="utf-8"))["packages"]:
        marker = f" ; {package['marker']}" if package.get("marker") else ""
        hashes = [
            f" --hash=sha256:{wheel['hashes']['sha256']}"
            for wheel in package["wheels"]
            if re.search(r"(-any|linux_[^-]*)\.whl$", str(wheel.get("name") or wheel.get("url")))
        ]
        yield f"{package['name']}=={package['version']}{marker}{''.join(hashes)}"


def _ages() -> tuple[int, ...]:
    """What changes when something is installed here."""
    return tuple(os.stat(place).st_mtime_ns for place in sys.path if os.path.isdir(place))  # noqa: PTH112, PTH116


@functools.lru_cache(maxsize=4)
def _installed(_path: tuple[str, ...], _at: tuple[int, ...]) -> tuple[str, ...]:
    """What is installed here: what nothing else needs is a requirement, and the rest is there in its version if at all.

    So what only this platform needs, or only the container's, goes and comes by itself.
    """
    from packaging.utils import canonicalize_name

    found: dict[str, importlib.metadata.Distribution] = {}
    for distribution in importlib.metadata.distributions():
        if distribution.metadata["Name"]:  # else it is what was left of one that was removed
            found.setdefault(canonicalize_name(distribution.metadata["Name"]), distribution)
    if local := sorted(name for name, one in found.items() if _is_local(one) and name not in _SERVERS):
        _log.warning(
            'packages="sync" leaves out what no index has: %s. Covalent takes a module along by ct.DepsModule.',
            ", ".join(local),
        )
    kept = {name: one for name, one in found.items() if name not in {*local, *_SERVERS, *_TOOLS}}
    needs = {name: set(_needs(one)) & kept.keys() for name, one in kept.items()}
    roots = kept.keys() - {other for name, others in needs.items() for other in others if other != name}
    reached, waiting = set(roots), list(roots)
    while waiting:
        fresh = needs[waiting.pop()] - reached
        reached |= fresh
        waiting += fresh
    roots |= kept.keys() - reached  # those that need each other in a circle
    # A build for this machine's processor or graphics card is another one there: no local versions.
    return tuple(
        f"{'' if name in roots else _CONSTRAINT}{name}=={kept[name].version.partition('+')[0]}" for name in sorted(kept)
    )


def _needs(distribution: importlib.metadata.Distribution) -> Iterator[str]:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    for line in distribution.requires or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield canonicalize_name(requirement.name)


def _is_local(distribution: importlib.metadata.Distribution) -> bool:
    """Whether it was installed from a folder, a repository or a file of its own."""
    return bool(json.loads(distribution.read_text("direct_url.json") or "{}"))
