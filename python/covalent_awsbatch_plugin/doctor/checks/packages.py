"""What a job gets through the bucket, where its image has nothing but Python."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from covalent_awsbatch_plugin.environment import prepare
from covalent_awsbatch_plugin.environment.distributions import CannotPackError, files

from .base import Case, Check, failed, passed


async def packages(case: Case) -> Sequence[Check]:
    """Whether the packages of this machine can be packed; no check where the image has all that a job needs."""
    if case.settings.source != "bucket":
        return []
    try:
        found = prepare.distributions()
        for distribution in found.values():
            next(files(distribution), None)
    except CannotPackError as error:
        return [failed("packages", str(error), 'install it with pip, or set `runtime` to "image"')]
    python = "{}.{}".format(*sys.version_info)
    return [passed("packages", f"{len(found)} of this machine, for an image with Python {python}")]
