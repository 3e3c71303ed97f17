"""What is installed of Covalent's server, and whether it can work."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from dataclasses import dataclass

# The first version of FastAPI with which a request's JSON needs a content type, and that of Covalent which gives one.
_FASTAPI = (0, 132)
_COVALENT = (0, 241)


@dataclass(frozen=True)
class Problem:
    """Why a server of this installation would not work.

    Attributes:
        found: What is wrong.
        fix: What to do.
    """

    found: str
    fix: str


def problem() -> Problem | None:
    """What keeps a server of this installation from working; None if nothing is known to."""
    if importlib.util.find_spec("covalent_dispatcher") is None:
        fix = 'pip install --force-reinstall "covalent-awsbatch-plugin[server]"'
        return Problem("this installation of Covalent has no server (COVALENT_SDK_ONLY)", fix)
    if _version("covalent") < _COVALENT and _version("fastapi") >= _FASTAPI:
        fastapi = importlib.metadata.version("fastapi")
        return Problem(
            f"the server of Covalent 0.240 refuses every dispatch with FastAPI {fastapi} (it answers 422)",
            'pip install "covalent-awsbatch-plugin[server]" or "fastapi<0.132"',
        )
    return None


def _version(package: str) -> tuple[int, ...]:
    """Major and minor version; empty if the package is not installed, or names itself in another way."""
    try:
        return tuple(int(part) for part in importlib.metadata.version(package).split(".")[:2])
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return ()
