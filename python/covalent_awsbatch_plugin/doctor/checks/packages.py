"""Where a job has Covalent and this package from."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from covalent_awsbatch_plugin.environment import platforms, runtime
from covalent_awsbatch_plugin.environment.distributions import CannotPackError, files
from covalent_awsbatch_plugin.options.settings import FORMER_IMAGE

from .base import Case, Check, State, failed, passed


async def packages(case: Case) -> Sequence[Check]:
    """Where a job has Covalent and this package from, and whether they can be packed here if it is the bucket."""
    settings = case.settings
    if settings.source == "image":
        return [passed("packages", "those of the image, which `container_image_uri` names: it is to start the runner")]
    try:
        machine = platforms.machine(settings)
        found = runtime.distributions(machine)
        for distribution in found.values():
            next(files(distribution), None)
        wheels = await asyncio.to_thread(runtime.wheels, found, machine)
    except CannotPackError as error:
        fix = "install it with pip, or set `container_image_uri` to an image that has Covalent and this package"
        return [failed("packages", str(error), fix)]
    python = "{}.{}".format(*sys.version_info)
    way = "through the bucket" if settings.source == "bucket" else "in an image that is made"
    way = f"{len(found)} of this machine, {way}, for Python {python}"
    if wheels:
        way += f" and {machine}: {len(wheels)} of them as wheels from the index"
    fitting = [name for name, known in platforms.REGISTRY.items() if known in case.architectures]
    if (processor := platforms.architecture(settings)) not in fitting:
        fix = f'set `architecture = "{fitting[0]}"`'
        return [failed("packages", f"they are for {processor}, and the queue's machines are {fitting[0]}", fix)]
    if settings.container_image_uri != FORMER_IMAGE:
        return [passed("packages", way)]
    former = f"`container_image_uri` is the former default, with Python 3.8; it counts as not given: {settings.image}"
    fix = "remove `container_image_uri` from [executors.awsbatch] of Covalent's configuration"
    return [Check("packages", State.PASSED, f"{way}. {former}", fix)]
