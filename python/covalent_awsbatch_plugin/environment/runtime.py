"""The runtime of a job: what the runner needs of what is installed here, in four files."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

from . import cache, on_demand
from .cache import Packed
from .distributions import CannotPackError, closure, modules
from .pack import LIBRARY

# What the runner needs in the container, with all that they need. This package is apart, since it changes alone.
_OWN = "covalent-awsbatch-plugin"
_ROOTS = (_OWN, "cloudpickle")
# What a job fetches at its start, as the runner imports it; the rest when something asks for it. One that is missing in
# this list would cost each job that time.
_FIRST = """
    aiofiles annotated-types certifi charset-normalizer cloudpickle covalent filelock furl idna orderedmultidict
    psutil pydantic pydantic-core requests six tblib toml typing-extensions typing-inspection urllib3 watchdog
"""
# What scikit-learn and others import if it is there. Apart, since it is small beside the rest.
_DISPLAY = "markdown-it-py mdurl pygments rich"
# A program that pip installs names its interpreter, and where that will be is not known yet.
_PIP = """#!/bin/sh
exec "$(dirname "$0")/python" -m pip "$@"
"""
_INSTALL = f"import {on_demand.__name__} as one; one.install()\n"


def distributions() -> dict[str, Distribution]:
    """The packages that a job needs for the runner, by their normalised names.

    Raises:
        CannotPackError: One of them is not installed, or they are not for Linux.
    """
    if platform.system() != "Linux":
        raise CannotPackError(f"they are for {platform.system()}, and jobs run on Linux")
    return closure(_ROOTS)


def pack(packed: Callable[..., Packed] = cache.packed) -> list[Packed]:
    """Packs the runtime.

    Args:
        packed: Packs one file; see `cache.packed`.

    Raises:
        CannotPackError: One of the packages cannot be packed.
        OSError: The cache cannot be written to.
    """
    found = distributions()
    own = {_OWN: found.pop(_OWN)}
    first = {name: one for name, one in found.items() if name in _FIRST.split()}
    names = {module for one in first.values() for module in modules(one)}
    # What shares the name of a package with them belongs to them.
    first.update((name, one) for name, one in found.items() if not names.isdisjoint(modules(one)))
    rest = {name: one for name, one in found.items() if name not in first}
    display = {name: one for name, one in rest.items() if name in _DISPLAY.split()}
    others = {name: one for name, one in rest.items() if name not in display}
    later, descriptions = [], []
    for number, group in enumerate((display, others), 1):
        if not group:
            continue
        folder = f"{on_demand.FOLDER}-{number}"
        later.append(replace(packed(group, folder), on_demand=True))
        names = {module for one in group.values() for module in modules(one)}
        description = {"folder": folder, "modules": sorted(names), "distributions": sorted(group)}
        descriptions.append({**description, "key": later[-1].key})
    return [
        packed(first, more={"bin/pip": _PIP, "bin/pip3": _PIP, on_demand.DESCRIPTION: json.dumps(descriptions)}),
        packed(own, more={f"{LIBRARY}/site-packages/covalent-awsbatch.pth": _INSTALL}),
        *later,
    ]


def found() -> list[Packed]:
    """What a task of this machine would use for the runner. What is not packed yet has no key.

    Raises:
        CannotPackError: One of the packages cannot be packed.
    """

    def find(*group: Any, **options: Any) -> Packed:
        return cache.find(*group, **options) or Packed("", Path(), 0)

    return pack(find)
