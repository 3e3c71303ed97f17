"""The runtime of a job: what the runner needs of what is installed here, in a file for each time at which it is needed.

For a job on another platform, what is compiled comes from the index, in the versions that are installed here.
"""

from __future__ import annotations

import functools
import json
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

from . import cache, on_demand, platforms
from .cache import Packed
from .distributions import (
    CORE,
    CORE_SUFFIX,
    FORMER_PYDANTIC,
    OWN_REST,
    SERVER,
    CannotPackError,
    closure,
    files,
    info_folder,
    modules,
)
from .pack import LIBRARY
from .packages import index, layers, locked
from .packages.resolve import Target, Wheel

OWN = "covalent-awsbatch-plugin"
"""This package, whose files are apart, since they change alone."""

# What the runner needs in the container, with all that they need.
_ROOTS = (OWN, "cloudpickle")
# What a job fetches at its start, as the runner imports it; the rest when something asks for it. One that is missing in
# this list would cost each job that time.
_FIRST = """
    aiofiles annotated-types certifi charset-normalizer cloudpickle covalent filelock furl idna orderedmultidict
    pydantic pydantic-core requests six tblib toml typing-extensions typing-inspection urllib3 watchdog
"""
# What scikit-learn and others import if it is there. Apart, since it is small beside the rest.
_SMALL = "markdown-it-py mdurl psutil pygments rich"
# A program that pip installs names its interpreter, and where that will be is not known yet.
_PIP = """#!/bin/sh
exec "$(dirname "$0")/python" -m pip "$@"
"""
_PYTHON = "{}.{}".format(*sys.version_info)
# The C library of the oldest image in which a wheel is to work.
_OLDEST_LIBRARY = "manylinux_2_28"
_INSTALL = f"import {on_demand.__name__} as one; one.install()\n"


def distributions(machine: str) -> dict[str, Distribution]:
    """The packages that a job needs for the runner, by their normalised names.

    Args:
        machine: The processor of the job, as `platforms.machine` says.

    Raises:
        CannotPackError: One of them is not installed.
    """
    return closure(_ROOTS, platforms.markers(machine))


def wheels(found: Mapping[str, Distribution], machine: str) -> list[Wheel]:
    """The wheels for a job on another platform, of those of these packages that are not the same there.

    Args:
        found: What `distributions` returned.
        machine: The processor of the job.

    Raises:
        CannotPackError: The index has no wheel of one of them in this version for the job's platform.
    """
    if platforms.is_own(machine):
        return []
    compiled = {name: one for name, one in found.items() if not platforms.is_pure(one)}
    target = Target(_PYTHON, f"{machine}-{_OLDEST_LIBRARY}")
    try:
        return locked.pinned(compiled, target, functools.cache(index.variables))
    except CannotPackError as error:
        own = f"{platform.system()} on {platform.machine()}"
        if sys.platform == "linux" and not platforms.has_glibc():
            own = f"{own} without glibc, which jobs have"
        raise CannotPackError(
            f"they are for {own}, jobs have Linux on {machine}, and the wheels for that cannot be had: {error}"
        ) from None


def pack(
    machine: str,
    packed: Callable[..., Packed] = cache.packed,
    stored: Callable[[bytes, str], Packed] = layers.stored,
) -> list[Packed]:
    """Packs the runtime.

    Args:
        machine: The processor of the job.
        packed: Packs one file; see `cache.packed`.
        stored: Keeps what needs no packing; see `layers.stored`.

    Raises:
        CannotPackError: One of the packages cannot be packed.
        OSError: The cache cannot be written to.
    """
    found = distributions(machine)
    if not modules(found[OWN]):
        raise CannotPackError(f"{OWN} is installed here without a record of where its files are: install it again")
    compiled = wheels(found, machine)
    for wheel in compiled:
        found.pop(wheel.name)
    own = {name: found.pop(name) for name in (OWN,) if name in found}
    first = {name: one for name, one in found.items() if name in _FIRST.split()}
    names = {module for one in first.values() for module in modules(one)}
    # What shares the name of a package with them belongs to them.
    first.update((name, one) for name, one in found.items() if not names.isdisjoint(modules(one)))
    rest = {name: one for name, one in found.items() if name not in first}
    small = {name: one for name, one in rest.items() if name in _SMALL.split()}
    others = {name: one for name, one in rest.items() if name not in small}
    own_rest: dict[str, Distribution] = {}
    for group, part in ((small, FORMER_PYDANTIC), (others, SERVER), (own_rest, OWN_REST)):
        if one := {**first, **own}.get(part.partition(":")[0]):
            group[part] = one
    later, descriptions = [], []
    for number, group in enumerate((small, others, own_rest), 1):
        if not group:
            continue
        folder = f"{on_demand.FOLDER}-{number}"
        later.append(replace(packed(group, folder), on_demand=True))
        descriptions.append({"folder": folder, "key": later[-1].key, **_description(group)})
    variables = functools.cache(index.variables)
    more = {f"{LIBRARY}/site-packages/covalent-awsbatch.pth": _INSTALL, on_demand.DESCRIPTION: json.dumps(descriptions)}
    fetched_wheel = [wheel for wheel in compiled if wheel.name == OWN]
    return [
        # The job's first program unpacks nothing itself: the first one is the core, which unpacks the others.
        layers.core(fetched_wheel[0], _PYTHON, variables) if fetched_wheel else stored(_core(own[OWN]), CORE_SUFFIX),
        *layers.packed(fetched_wheel, _PYTHON, variables),
        packed(own, more=more),
        packed(first, more={"bin/pip": _PIP, "bin/pip3": _PIP}),
        *layers.packed([wheel for wheel in compiled if wheel.name != OWN], _PYTHON, variables),
        *later,
    ]


def _description(group: Mapping[str, Distribution]) -> dict[str, Any]:
    """What `on_demand.Finder` has to know of the packages, and parts of packages, in a file."""
    found_in = {module: one for name, one in group.items() for module in modules(one, name if ":" in name else "")}
    return {
        "modules": sorted(module for module in found_in if "." not in module),
        "parts": {module: info_folder(one) for module, one in sorted(found_in.items()) if "." in module},
        "distributions": sorted(name for name in group if ":" not in name),
    }


def _core(own: Distribution) -> bytes:
    """The core that is installed here."""
    for file in files(own, CORE):
        return file.source.read_bytes()
    raise CannotPackError(f"the core of {OWN} is not on record here: install it again")


def found(machine: str) -> list[Packed]:
    """What a task of this machine would use for the runner. What is not packed yet has no key.

    For another platform, wheels are packed all the same: only so their keys are known.

    Args:
        machine: The processor of its job.

    Raises:
        CannotPackError: One of the packages cannot be packed.
    """
    none = Packed("", Path(), 0)

    def find(*group: Any, **options: Any) -> Packed:
        return cache.find(*group, **options) or none

    return pack(machine, find, lambda *content: layers.find(*content) or none)
