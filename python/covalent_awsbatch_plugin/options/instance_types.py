"""What the name of an instance type tells of its size, without asking AWS.

A machine never has its nominal memory for jobs. Linux keeps 64 bytes of every page of 4 KiB for its own records; the
kernel and the firmware take more, which is a few hundred MiB of a small machine; and the ECS agent of Batch's image
leaves 32 MiB (`ECS_RESERVED_MEMORY`). AWS recommends a buffer of 5 % for all of it. Of an m4.large with 8,192 MiB,
7,953 are left. What is taken of a small machine beyond that AWS does not say: `_worst` assumes 256 MiB.
https://docs.aws.amazon.com/batch/latest/userguide/memory-management.html
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """Of a job, or of a machine.

    Attributes:
        vcpus: vCPUs.
        memory: MiB; of a machine what is left for jobs.
        gpus: GPUs.
    """

    vcpus: float
    memory: float
    gpus: float = 0

    def holds(self, job: Size) -> bool:
        """Whether a job has room in it."""
        return job.vcpus <= self.vcpus and job.memory <= self.memory and job.gpus <= self.gpus


_GPU_FAMILY = re.compile(r"(g|gr|p)\d")
_GRAVITON = re.compile(r"(?:[a-z]+\d+g[a-z]*|a1)(?:-flex)?(?:\.|$)|default_arm64$")
_SHAPED = re.compile(r"[cmr]([5-9]|\d\d)")
_GIB_PER_VCPU = {"c": 2.0, "m": 4.0, "r": 8.0}
"""Of the families whose memory follows from how their name begins, from the fifth generation on."""
_OTHERS = {"c3": 1.875, "c4": 1.875, "m3": 3.75, "m4": 4.0, "r3": 7.625, "r4": 7.625, "c5n": 2.625}
_OTHERS |= {"g4dn": 4.0, "g5": 4.0, "g6": 4.0, "p3": 7.625}
_TWELVE_AND_MORE = {"12xlarge": 4, "24xlarge": 4, "48xlarge": 8}
_GPUS = {"g4dn": {"12xlarge": 4}, "g5": _TWELVE_AND_MORE, "g6": _TWELVE_AND_MORE, "p3": {"8xlarge": 4, "16xlarge": 8}}
"""How many GPUs the sizes have that have more than one."""
_ODD = {"c1.xlarge", "c4.8xlarge", "cc2.8xlarge", "d2.8xlarge", "hs1.8xlarge", "m2.xlarge", "m2.2xlarge", "m2.4xlarge"}
_ODD |= {"c5n.9xlarge", "c5n.18xlarge"}
"""Their sizes do not tell how many vCPUs they have, or how much memory."""

# What Batch chooses from by itself: c4, m4, r4, c5, m5, r5, or now m6i, c6i, r6i, c7i; for ARM m6g, c6g, r6g, c7g.
_CHOSEN = {"optimal": (192, 1024), "default_x86_64": (192, 1024), "default_arm64": (64, 512)}
"""The largest number of vCPUs, and of GiB, that one of these has."""
_COMMON = 32
"""vCPUs of the 8xlarge: each of the usual families, from the fourth generation on, has that size or a larger one."""


def holds(types: Iterable[str], job: Size) -> bool | None:
    """Whether one of these instance types holds a job; None if their names do not tell, or if there are none.

    Args:
        types: Types, families, and Batch's own words such as `optimal`.
        job: What it asks for.
    """
    answers = [_holds(name, job) for name in types]
    return True if True in answers else None if None in answers or not answers else False


def memory_for(types: Iterable[str], job: Size) -> float:
    """The most MiB of memory that one of these surely has left for a job of so many vCPUs and GPUs; 0 if none has.

    Args:
        types: As above.
        job: What it asks for beside memory.
    """
    sizes = [_at_least(name) for name in types]
    return max((size.memory for size in sizes if size.vcpus >= job.vcpus and size.gpus >= job.gpus), default=0)


def has_gpus(name: str) -> bool:
    """Whether a type or family is one with GPUs."""
    return bool(_GPU_FAMILY.match(name))


def is_arm(name: str) -> bool:
    """Whether it is for ARM."""
    return bool(_GRAVITON.match(name))


def is_sized(name: str) -> bool:
    """Whether the name tells both vCPUs and memory."""
    return _nominal(name) is not None and _gib_per_vcpu(name) is not None


def _holds(name: str, job: Size) -> bool | None:
    if not _at_most(name).holds(job):
        return False
    return True if _at_least(name).holds(job) else None


def _at_most(name: str) -> Size:
    """What no machine of this name exceeds."""
    gpus: float = math.inf if has_gpus(name) else 0
    if name in _CHOSEN:
        return Size(_CHOSEN[name][0], _best(_CHOSEN[name][1]), 0)
    vcpus, ratio = _nominal(name), _gib_per_vcpu(name)
    if vcpus is None:
        return Size(math.inf, math.inf, gpus)
    return Size(vcpus, math.inf if ratio is None else _best(vcpus * ratio), _gpus(name, gpus))


def _at_least(name: str) -> Size:
    """What one machine of this name surely has left for jobs; nothing where the name does not tell."""
    family, _, size = name.partition(".")
    ratio = 7.625 if name in _CHOSEN else _gib_per_vcpu(name)
    vcpus = _nominal(name) if size else _COMMON if not has_gpus(name) and family not in ("c3", "m3", "r3") else None
    if vcpus is None or ratio is None:
        return Size(0, 0, 0)
    return Size(vcpus, _worst(vcpus * ratio), _gpus(name, 0) if size else 0)


def _nominal(name: str) -> int | None:
    """A type's vCPUs."""
    found = re.fullmatch(r"(\d*)(x?large)", name.partition(".")[2])
    if found is None or name in _ODD:
        return None
    return 2 if found[2] == "large" else 4 * int(found[1] or 1)


def _gib_per_vcpu(name: str) -> float | None:
    family = name.partition(".")[0]
    return _OTHERS.get(family) or (_GIB_PER_VCPU[family[0]] if _SHAPED.match(family) else None)


def _gpus(name: str, otherwise: float) -> float:
    family, _, size = name.partition(".")
    return _GPUS[family].get(size, 1) if family in _GPUS else otherwise


def _best(gib: float) -> float:
    """The most that can be left of so much nominal memory, in MiB."""
    return gib * 1024 * (1 - 64 / 4096) - 32


def _worst(gib: float) -> float:
    """What is left at the least: AWS's 5 %, and what weighs on small machines."""
    return gib * 1024 * 0.95 - 256
