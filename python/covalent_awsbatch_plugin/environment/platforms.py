"""The platform of a job, and what of the server's own packages fits it."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import Distribution
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from .distributions import files

if TYPE_CHECKING:
    from covalent_awsbatch_plugin.options.settings import Settings

_MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
_ARCHITECTURES = {"X86_64": "x86_64", "ARM64": "aarch64"}
REGISTRY = {"X86_64": "amd64", "ARM64": "arm64"}
"""What registries call the processors of AWS."""

_COMPILED = frozenset({".so", ".dylib", ".pyd", ".dll"})


def machine(settings: Settings) -> str:
    """The processor of a job, in Linux's words: `x86_64` or `aarch64`.

    That of the option `architecture`. If it is not given, the server's where that has Linux, and else `x86_64`.

    Args:
        settings: The task's options.
    """
    own = _own() if sys.platform == "linux" else None
    return _ARCHITECTURES[settings.architecture] if settings.architecture else own or "x86_64"


def asked_for(settings: Settings) -> str:
    """The processor that a job asks Fargate or Managed Instances for, in AWS's words: `X86_64` or `ARM64`.

    An image that has its packages may be for either, and only the option tells.

    Args:
        settings: The task's options.
    """
    return settings.architecture or "X86_64" if settings.source == "image" else architecture(settings)


def architecture(settings: Settings) -> str:
    """The processor of a job whose packages are the server's, in AWS's words: `X86_64` or `ARM64`.

    Args:
        settings: The task's options.
    """
    return next(name for name, known in _ARCHITECTURES.items() if known == machine(settings))


def is_own(machine: str) -> bool:
    """Whether a job with this processor, whose image has glibc, can use all that is installed here."""
    return sys.platform == "linux" and _own() == machine and has_glibc()


def markers(machine: str) -> dict[str, str]:
    """What a job tells of itself in a requirement's marker (PEP 508).

    Args:
        machine: Its processor.
    """
    return {
        "os_name": "posix",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": machine,
        "platform_release": "",
        "platform_version": "",
    }


def is_pure(distribution: Distribution) -> bool:
    """Whether a package is the same on all platforms.

    Raises:
        CannotPackError: As `distributions.files`.
    """
    if "Root-Is-Purelib: false" in (distribution.read_text("WHEEL") or ""):
        return False
    return not any(PurePosixPath(file.path).suffix in _COMPILED for file in files(distribution))


def has_glibc() -> bool:
    """Whether this machine's C library is glibc, and not musl as on Alpine, whose extensions no other one loads."""
    try:
        return bool(os.confstr("CS_GNU_LIBC_VERSION"))
    except (ValueError, OSError):
        return False


def _own() -> str | None:
    return _MACHINES.get(platform.machine().lower())
