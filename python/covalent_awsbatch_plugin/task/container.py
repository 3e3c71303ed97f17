"""What AWS Batch is told of a job's container beyond its image and size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from covalent_awsbatch_plugin.options.container_limits import device_parts

if TYPE_CHECKING:
    from covalent_awsbatch_plugin.options.settings import Settings

NAME = "default"
"""Of the container, where it is described as one of several; Batch itself calls a single one so."""

_EFA = "/dev/infiniband/uverbs0:/dev/infiniband/uverbs0:rwm"
"""As https://docs.aws.amazon.com/batch/latest/userguide/efa.html wants it."""

_PERMISSIONS = {"r": "READ", "w": "WRITE", "m": "MKNOD"}
# What belongs to an ECS task and not to one of its containers, with its name there.
_OF_TASK = {
    "executionRoleArn": "executionRoleArn",
    "jobRoleArn": "taskRoleArn",
    "volumes": "volumes",
    "ephemeralStorage": "ephemeralStorage",
    "networkConfiguration": "networkConfiguration",
    "runtimePlatform": "runtimePlatform",
}


def properties(settings: Settings) -> dict[str, Any]:
    """The fields of `containerProperties` that follow from the options of the container; absent where none is given."""
    volumes = sorted(settings.volumes.items())
    # What an adapter transfers from has to stay in memory: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa.html
    ulimits = {**({"memlock": -1} if settings.efa else {}), **settings.ulimits}
    found = {
        "linuxParameters": _linux(settings),
        "volumes": [_volume(f"volume-{number}", volume) for number, (_, volume) in enumerate(volumes)],
        "mountPoints": [_mount(f"volume-{number}", *volume) for number, volume in enumerate(volumes)],
        "secrets": [{"name": name, "valueFrom": source} for name, source in settings.secrets.items()],
        "ulimits": [_ulimit(name, limit) for name, limit in ulimits.items()],
        "privileged": settings.privileged,
        "user": settings.user,
        "readonlyRootFilesystem": settings.read_only_root,
    }
    return {name: value for name, value in found.items() if value}


def is_task(settings: Settings) -> bool:
    """Whether the job has to be described as an ECS task: `containerProperties` lack what is asked for.

    Managed Instances know nothing else
    (https://docs.aws.amazon.com/batch/latest/userguide/ecs-managed-instances-job-definitions.html).
    """
    return bool(
        settings.platform == "MANAGED_INSTANCES"
        or settings.stop_timeout
        or settings.ipc_mode
        or "ecsProperties" in settings.job_definition_overrides
    )


def as_task(container: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """The same container as `ecsProperties`: the only one of a task."""
    task: dict[str, Any] = {of_task: container[name] for name, of_task in _OF_TASK.items() if name in container}
    if "fargatePlatformConfiguration" in container:
        task["platformVersion"] = container["fargatePlatformConfiguration"]["platformVersion"]
    if settings.ipc_mode:
        task["ipcMode"] = settings.ipc_mode
    only = {name: value for name, value in container.items() if name not in {*_OF_TASK, "fargatePlatformConfiguration"}}
    if settings.stop_timeout:
        only["stopTimeout"] = settings.stop_timeout
    return {"taskProperties": [{**task, "containers": [{"name": NAME, "essential": True, **only}]}]}


def as_task_overrides(overrides: dict[str, Any]) -> dict[str, Any]:
    """`containerOverrides` as `ecsPropertiesOverride`."""
    return {"taskProperties": [{"containers": [{"name": NAME, **overrides}]}]}


def _linux(settings: Settings) -> dict[str, Any]:
    shared = settings.shared_memory or (settings.memory if settings.num_gpus else 0)
    found = {
        "sharedMemorySize": _mib(shared),
        "tmpfs": [{"containerPath": path, "size": _mib(size)} for path, size in settings.tmpfs.items()],
        "devices": [_device(device) for device in (*settings.devices, *([_EFA] if settings.efa else []))],
        "initProcessEnabled": settings.init,
    }
    return {name: value for name, value in found.items() if value}


def _mib(gigabytes: float) -> int:
    return math.ceil(gigabytes * 1024)


def _device(device: str) -> dict[str, Any]:
    host, path, permissions = device_parts(device)
    found = {"hostPath": host, "containerPath": path, "permissions": [_PERMISSIONS[letter] for letter in permissions]}
    return {name: value for name, value in found.items() if value}


def _ulimit(name: str, limit: int | list[int]) -> dict[str, Any]:
    soft, hard = limit if isinstance(limit, list) else (limit, limit)
    return {"name": name, "softLimit": soft, "hardLimit": hard}


def _volume(name: str, volume: str | dict[str, Any]) -> dict[str, Any]:
    described = {"source": volume} if isinstance(volume, str) else volume
    source, root, access_point = described["source"], described.get("root"), described.get("access_point")
    if source.startswith("fs-"):
        efs: dict[str, Any] = {"fileSystemId": source, "transitEncryption": "ENABLED"}
        access = {"accessPointId": access_point, "iam": "ENABLED" if described.get("iam") else None}
        if access := {key: value for key, value in access.items() if value}:
            efs["authorizationConfig"] = access
        return {"name": name, "efsVolumeConfiguration": {**efs, **({"rootDirectory": root} if root else {})}}
    if source.startswith("arn:"):
        files = {"fileSystemArn": source, "rootDirectory": root, "accessPointArn": access_point}
        return {"name": name, "s3filesVolumeConfiguration": {key: value for key, value in files.items() if value}}
    return {"name": name, "host": {"sourcePath": source}} if source else {"name": name}


def _mount(name: str, path: str, volume: str | dict[str, Any]) -> dict[str, Any]:
    mount: dict[str, Any] = {"containerPath": path, "sourceVolume": name}
    if isinstance(volume, dict) and volume.get("read_only"):
        mount["readOnly"] = True
    return mount
