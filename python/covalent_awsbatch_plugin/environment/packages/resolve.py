"""Which wheels requirements are, for the container's platform and Python: uv asks the index, and installs nothing."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from covalent_awsbatch_plugin.environment.distributions import CannotPackError
from covalent_awsbatch_plugin.options.packages import toml

from . import index
from .wanted import Requirements

_SECONDS = 120
_LONGEST_REASON = 2000


class Target(NamedTuple):
    """What wheels have to fit.

    Attributes:
        python: Minor version of Python, such as `3.11`.
        platform: As uv calls it, such as `x86_64-manylinux_2_28`.
    """

    python: str
    platform: str


class NoSolutionError(CannotPackError):
    """No versions go together; with fewer constraints there may be some."""


@dataclass(frozen=True)
class Wheel:
    """A wheel of an index.

    Attributes:
        name: The package's normalised name.
        version: Its version.
        file: Name of the file.
        sha256: Hash of its content.
        url: Where it is, without a password.
    """

    name: str
    version: str
    file: str
    sha256: str
    url: str


def resolved(
    requirements: Requirements, constraints: Iterable[str], target: Target, variables: Mapping[str, str]
) -> list[Wheel]:
    """The wheels for requirements.

    Args:
        requirements: What is asked for.
        constraints: More versions that what has to be there besides may have.
        target: What they have to fit.
        variables: As `index.variables` returns them.

    Raises:
        CannotPackError: There are none, uv is not installed, or the index does not answer.
    """
    with tempfile.TemporaryDirectory(prefix="covalent-awsbatch-") as directory:
        asked, limits, lock = (Path(directory, name) for name in ("asked.in", "constraints.txt", "pylock.toml"))
        asked.write_text("\n".join(requirements.roots) + "\n", encoding="utf-8")
        limits.write_text("\n".join([*requirements.constraints, *constraints]) + "\n", encoding="utf-8")
        program = [
            *(
                _uv(),
                "pip",
                "compile",
                "--quiet",
                "--no-progress",
                "--no-header",
                "--no-annotate",
                "--no-python-downloads",
            ),
            *("--format", "pylock.toml", "--python-platform", target.platform, "--python-version", target.python),
            *("--only-binary", ":all:", *(["--no-deps"] if requirements.is_whole else [])),
            *("--constraint", str(limits), "--output-file", str(lock), str(asked)),
        ]
        try:
            ended = subprocess.run(
                program,
                env=dict(variables),
                cwd=directory,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise CannotPackError(f"the index did not answer within {_SECONDS} s") from None
        except OSError as error:
            raise CannotPackError(f"uv cannot be run: {error.strerror}") from None
        if ended.returncode:
            why = index.without_passwords(" ".join(re.sub(r"[^ -~]", " ", ended.stderr).split()), variables)
            kind = NoSolutionError if "No solution found" in why else CannotPackError
            raise kind(why[:_LONGEST_REASON] or f"uv ended with status {ended.returncode}")
        wheels = list(_wheels(toml(lock.read_text(encoding="utf-8"))))
    for wheel in wheels:
        if wheel.sha256 not in requirements.hashes.get(wheel.name, {wheel.sha256}):
            raise CannotPackError(f"{wheel.file} has not the hash that is asked for")
    return wheels


def target(machine: str, is_own_image: bool) -> Target:
    """What fits the jobs, which have the Python of this machine.

    Args:
        machine: Their processor: `x86_64` or `aarch64`.
        is_own_image: Whether the image is not Python's own, and its C library may be an older one.
    """
    glibc = "2_28" if is_own_image else "2_36"
    return Target("{}.{}".format(*sys.version_info), f"{machine}-manylinux_{glibc}")


def _uv() -> str:
    try:
        import uv

        return str(uv.find_uv_bin())
    except (ImportError, FileNotFoundError):
        raise CannotPackError("uv is not installed here: pip install 'covalent-awsbatch-plugin[server]'") from None


def _wheels(lock: Mapping[str, Any]) -> Iterator[Wheel]:
    for package in lock.get("packages", ()):
        name = canonicalize_name(package["name"])
        if not package.get("wheels") or "version" not in package:
            raise CannotPackError(f"{name} is no wheel of an index")
        wheel = package["wheels"][0]
        parts = urlsplit(str(wheel.get("url") or Path(wheel["path"]).absolute().as_uri()))
        url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        sha256 = wheel.get("hashes", {}).get("sha256")
        if not sha256:
            raise CannotPackError(f"the index has no SHA-256 of {name}")
        file = unquote(parts.path.rpartition("/")[2])
        yield Wheel(name, str(package["version"]), file, sha256, url)
