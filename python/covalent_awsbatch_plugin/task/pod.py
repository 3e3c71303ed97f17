"""What AWS Batch is told of a job on EKS: a pod of one container.

Sources: https://docs.aws.amazon.com/batch/latest/APIReference/API_EksPodProperties.html,
https://docs.aws.amazon.com/batch/latest/userguide/memory-cpu-batch-eks.html.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .container import NAME

if TYPE_CHECKING:
    from covalent_awsbatch_plugin.options.settings import Settings


def as_pod(container: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """`eksProperties` of a container.

    Args:
        container: Its `image`, `command`, `environment` and `resourceRequirements`, as in `containerProperties`.
        settings: Of which the options of the container and of the pod count.
    """
    volumes = _volumes(settings)
    only = {
        "name": NAME,
        "image": container["image"],
        # Kubernetes calls the program so, where ECS has its arguments; images for jobs have no entry point.
        "command": [_literal(part) for part in container.get("command", ())],
        "env": _variables(container.get("environment", ())),
        "resources": _resources(container["resourceRequirements"]),
        "volumeMounts": [mount for _, mount in volumes],
        "securityContext": _security(settings),
    }
    pod = {
        "containers": [{name: value for name, value in only.items() if value}],
        "volumes": [volume for volume, _ in volumes],
        "serviceAccountName": settings.eks_service_account,
        "metadata": {"namespace": settings.eks_namespace} if settings.eks_namespace else {},
    }
    return {"podProperties": {name: value for name, value in pod.items() if value}}


def as_pod_overrides(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """`containerOverrides` as `eksPropertiesOverride`."""
    resources, variables = _resources(overrides["resourceRequirements"]), _variables(overrides["environment"])
    return {"podProperties": {"containers": [{"name": NAME, "env": variables, "resources": resources}]}}


def _resources(requirements: Iterable[Mapping[str, str]]) -> dict[str, Any]:
    """As on ECS a container has at least its vCPUs, and at most its memory."""
    amounts = {one["type"]: one["value"] for one in requirements}
    limits = {"memory": f"{amounts['MEMORY']}Mi", **({"nvidia.com/gpu": amounts["GPU"]} if "GPU" in amounts else {})}
    return {"requests": {"cpu": amounts["VCPU"]}, "limits": limits}


def _variables(pairs: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    return [{"name": pair["name"], "value": _literal(pair["value"])} for pair in pairs]


def _literal(text: str) -> str:
    """A text that Kubernetes leaves alone, which puts variables in the place of `$(NAME)` and one `$` in that of two.

    Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_EksContainer.html
    """
    return text.replace("$", "$$")


def _security(settings: Settings) -> dict[str, Any]:
    user, _, group = settings.user.partition(":")
    found = {
        "privileged": settings.privileged,
        "readOnlyRootFilesystem": settings.read_only_root,
        "runAsUser": int(user) if user else None,
        "runAsGroup": int(group) if group else None,
    }
    return {name: value for name, value in found.items() if value is not None and value is not False}


def _volumes(settings: Settings) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each volume with its mount."""
    found = []
    for number, (path, volume) in enumerate(sorted(settings.volumes.items())):
        described: dict[str, Any] = {"source": volume} if isinstance(volume, str) else volume
        read_only = {"readOnly": True} if described.get("read_only") else {}
        mount = {"name": f"volume-{number}", "mountPath": path, **read_only}
        found.append(({"name": f"volume-{number}", **_source(described["source"])}, mount))
    in_memory = [(f"tmpfs-{number}", *one) for number, one in enumerate(sorted(settings.tmpfs.items()))]
    if shared := settings.shared_memory or (settings.memory if settings.num_gpus else 0):
        in_memory.append(("shared-memory", "/dev/shm", shared))  # noqa: S108
    for name, path, gigabytes in in_memory:
        size = f"{math.ceil(gigabytes * 1024)}Mi"
        volume = {"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": size}}
        found.append((volume, {"name": name, "mountPath": path}))
    return found


def _source(source: str) -> dict[str, Any]:
    if source.startswith("claim:"):
        return {"persistentVolumeClaim": {"claimName": source.removeprefix("claim:")}}
    return {"hostPath": {"path": source}} if source else {"emptyDir": {}}
