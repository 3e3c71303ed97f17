"""Whether a job can ever be placed in a compute environment, as far as the names of its instance types tell."""

from __future__ import annotations

import re
from typing import Any

from .settings import Settings

_GPU_FAMILY = re.compile(r"(g|gr|p)\d")
_GRAVITON = re.compile(r"(?:[a-z]+\d+g[a-z]*|a1)(?:-flex)?(?:\.|$)")
_GIB_PER_VCPU = {"c": 2, "m": 4, "r": 8}
"""Of the families whose memory follows their first letter."""
_ANY_TYPE = ("optimal", "default")


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
    types = [name for name in environment["instance_types"] if not name.startswith(_ANY_TYPE)]
    if not types or len(types) < len(environment["instance_types"]):
        if environment["instance_types"] and settings.num_gpus and not any(map(_has_gpus, types)):
            found.append(f"its instance types ({_listed(environment)}) have no GPU: num_gpus={settings.num_gpus}")
        return found
    if settings.num_gpus and not any(map(_has_gpus, types)):
        found.append(f"its instance types ({_listed(environment)}) have no GPU: num_gpus={settings.num_gpus}")
    elif not any(_may_hold(name, settings) for name in types):
        asked = f"vcpu={settings.vcpu:g} and memory={settings.memory:g}"
        found.append(f"none of its instance types ({_listed(environment)}) holds {asked}")
    return found


def architectures(environment: dict[str, Any]) -> set[str]:
    """What its instances may be: `amd64`, `arm64`."""
    return {"arm64" if _GRAVITON.match(name) else "amd64" for name in environment["instance_types"]} or {"amd64"}


def _has_gpus(name: str) -> bool:
    return bool(_GPU_FAMILY.match(name))


def _may_hold(name: str, settings: Settings) -> bool:
    """Whether an instance of a type is large enough; also if its name does not tell."""
    family, _, size = name.partition(".")
    found = re.fullmatch(r"(\d*)(x?large)", size)
    if found is None:
        return True
    vcpus = 2 if found[2] == "large" else 4 * int(found[1] or 1)
    ratio = _GIB_PER_VCPU.get(family[0]) if re.match(r"[cmr]\d", family) else None
    return vcpus >= settings.vcpu and (ratio is None or vcpus * ratio >= settings.memory)


def _listed(environment: dict[str, Any]) -> str:
    return ", ".join(environment["instance_types"])
