"""Whether a job can ever be placed in a compute environment, as far as the names of its instance types tell."""

from __future__ import annotations

import math
from typing import Any

from . import instance_types
from .instance_types import Size
from .settings import Settings

_KEPT = "of its nominal memory a machine keeps 2 to 10 % for its kernel and the ECS agent"


def platform(environment: dict[str, Any]) -> str:
    """What the jobs of an environment run on, as the option `platform` has it; empty where nobody can tell.

    Args:
        environment: What the core tells of it.
    """
    kind = environment["kind"]
    if environment.get("orchestration") == "EKS":
        return "EKS"
    if kind == "ECS_MANAGED_INSTANCES":
        return "MANAGED_INSTANCES"
    return "FARGATE" if kind.startswith("FARGATE") else "EC2" if kind else ""


def kind(environment: dict[str, Any]) -> str:
    """Its type in AWS's words, and whether it is one of EKS.

    Args:
        environment: As above.
    """
    found = str(environment["kind"])
    return f"{found} on EKS".strip() if platform(environment) == "EKS" else found


def problems(settings: Settings, environment: dict[str, Any]) -> list[str]:
    """Why a job of this configuration would never fit, as sentences; empty if it does or nobody can tell.

    Args:
        settings: Whose `vcpu`, `memory` and `num_gpus` count.
        environment: What the core tells of the environment.
    """
    there = platform(environment)
    machines = environment["kind"] or environment.get("management", "")
    if settings.nodes > 1 and (there == "EKS" or machines not in ("EC2", "MANAGED", "")):
        # https://docs.aws.amazon.com/batch/latest/userguide/mnp-ce.html
        told = kind(environment) or machines
        return [f"it is {told}, and AWS Batch runs jobs of several nodes (nodes={settings.nodes}) on EC2 alone"]
    if there and settings.platform and there != settings.platform:
        return [f"it is {kind(environment)}, and the job is for {settings.platform}"]
    found = []
    limit = environment["max_vcpus"]
    if limit is not None and limit < settings.vcpu * settings.nodes:
        times = f" on each of nodes={settings.nodes}" * (settings.nodes > 1)
        found.append(f"it has at most {limit} vCPUs and the job asks for vcpu={settings.vcpu:g}{times}")
    if there == "FARGATE":
        return found
    types, job = environment["instance_types"], _size(settings)
    if types and job.gpus and not any(map(instance_types.has_gpus, types)):
        found.append(f"its instance types ({', '.join(types)}) have no GPU: num_gpus={settings.num_gpus}")
    elif instance_types.holds(types, job) is False:
        asked = f"vcpu={settings.vcpu:g} and memory={settings.memory:g}"
        asked += f" with num_gpus={settings.num_gpus}" * bool(settings.num_gpus)
        nearly = instance_types.holds(types, Size(job.vcpus, job.memory * 0.9, job.gpus)) is not False
        found.append(f"none of its instance types ({', '.join(types)}) holds {asked}" + f" ({_KEPT})" * nearly)
    return found


def doubt(settings: Settings, environment: dict[str, Any]) -> str:
    """Why nobody can tell whether a job fits that has no `problems` there, as a sentence; empty if it surely fits.

    Args:
        settings: As above.
        environment: As above.
    """
    types = environment["instance_types"]
    # Where Managed Instances name no types, ECS takes of all that there are one that holds the job.
    if platform(environment) == "MANAGED_INSTANCES" and not types:
        return ""
    if platform(environment) == "FARGATE" or instance_types.holds(types, _size(settings)):
        return ""
    if not types:
        return "its instance types are not told"
    if all(map(instance_types.is_sized, types)):
        return f"memory={settings.memory:g} is close to the limit of {', '.join(types)}, and {_KEPT}"
    return f"the names of its instance types ({', '.join(types)}) do not tell how much their machines hold"


def largest_memory(settings: Settings, environments: list[dict[str, Any]]) -> float:
    """GB of memory that a job surely finds in a queue's environments; infinite if it does, or if nobody can tell.

    Args:
        settings: As above.
        environments: What the core tells of each of them.
    """
    job = _size(settings)
    found = [_largest_memory(job, one["instance_types"]) for one in environments if one["state"] == "ENABLED"]
    return max(found, default=math.inf) / 1024


def _largest_memory(job: Size, types: list[str]) -> float:
    held = instance_types.holds(types, job)
    if not types or held or (held is None and not all(map(instance_types.is_sized, types))):
        return math.inf
    return instance_types.memory_for(types, job)


def architectures(environment: dict[str, Any]) -> set[str]:
    """What its instances may be: `amd64`, `arm64`."""
    return {"arm64" if instance_types.is_arm(name) else "amd64" for name in environment["instance_types"]} or {"amd64"}


def _size(settings: Settings) -> Size:
    return Size(settings.vcpu, settings.memory_mib, settings.num_gpus)
