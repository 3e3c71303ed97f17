"""Whether a job can ever be placed in a compute environment, as far as the names of its instance types tell."""

from __future__ import annotations

import re
from typing import Any

from .settings import Settings

_GPU_FAMILY = re.compile(r"(g|gr|p)\d")
_GRAVITON = re.compile(r"(?:[a-z]+\d+g[a-z]*|a1)(?:-flex)?(?:\.|$)|default_arm64$")
_GIB_PER_VCPU = {"c": 2.0, "m": 4.0, "r": 8.0}
"""Of the families whose memory follows their first letter, from the fifth generation on."""
_OLDER = {"c3": 1.875, "c4": 1.875, "m3": 3.75, "m4": 4.0, "r3": 7.625, "r4": 7.625, "c5n": 2.625}
_ODD = {"c1.xlarge", "c4.8xlarge", "cc2.8xlarge", "d2.8xlarge", "hs1.8xlarge", "m2.xlarge", "m2.2xlarge", "m2.4xlarge"}
"""Their sizes do not tell how many vCPUs they have."""


def problems(settings: Settings, environment: dict[str, Any]) -> list[str]:
    """Why a job of this configuration would never fit, as sentences; empty if it does or nobody can tell.

    Args:
        settings: Whose `vcpu`, `memory` and `num_gpus` count.
        environment: What the core tells of the environment.
    """
    fargate = environment["kind"].startswith("FARGATE")
    if environment["kind"] and fargate != (settings.platform == "FARGATE"):
        return [f"it is {environment['kind']}, and the job is for {settings.platform}"]
    found = []
    limit = environment["max_vcpus"]
    if limit is not None and limit < settings.vcpu:
        found.append(f"it has at most {limit} vCPUs and the job asks for vcpu={settings.vcpu:g}")
    if fargate:
        return found
    types = environment["instance_types"]
    if types and settings.num_gpus and not any(map(_has_gpus, types)):
        found.append(f"its instance types ({', '.join(types)}) have no GPU: num_gpus={settings.num_gpus}")
    elif types and not any(_may_hold(name, settings) for name in types):
        asked = f"vcpu={settings.vcpu:g} and memory={settings.memory:g}"
        asked += f" with num_gpus={settings.num_gpus}" * bool(settings.num_gpus)
        found.append(f"none of its instance types ({', '.join(types)}) holds {asked}")
    return found


def architectures(environment: dict[str, Any]) -> set[str]:
    """What its instances may be: `amd64`, `arm64`."""
    return {"arm64" if _GRAVITON.match(name) else "amd64" for name in environment["instance_types"]} or {"amd64"}


def _has_gpus(name: str) -> bool:
    return bool(_GPU_FAMILY.match(name))


def _may_hold(name: str, settings: Settings) -> bool:
    """Whether an instance of a type is large enough; also if its name does not tell, as `optimal` and families do not.

    The memory of a machine is never a job's alone: the ECS agent keeps some of it.
    """
    family, _, size = name.partition(".")
    if settings.num_gpus and not _has_gpus(name):
        return False
    found = re.fullmatch(r"(\d*)(x?large)", size)
    if found is None or name in _ODD:
        return True
    vcpus = 2 if found[2] == "large" else 4 * int(found[1] or 1)
    ratio = _OLDER.get(family) or (_GIB_PER_VCPU.get(family[0]) if re.match(r"[cmr]([5-9]|\d\d)", family) else None)
    return vcpus >= settings.vcpu and (ratio is None or vcpus * ratio > settings.memory)
