"""What AWS takes for the options of a container: volumes, secrets, limits and devices.

Sources: `ContainerProperties` and `EcsTaskProperties` in the API reference of AWS Batch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from . import limits, pairs

ULIMITS = frozenset(
    {
        *("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio"),
        *("rttime", "sigpending", "stack"),
    }
)
"""The limits of a process that AWS Batch knows."""

LONGEST_STOP_ON_FARGATE = 120
"""Seconds."""

_VOLUME_KEYS = {"source": str, "root": str, "access_point": str, "iam": bool, "read_only": bool}
_EFS = r"fs-[0-9a-f]{8,40}"
_CLAIM = r"claim:[a-z0-9](?:[-.a-z0-9]{0,251}[a-z0-9])?"
_S3_FILES = r"arn:aws(?:-[a-z]+)*:s3files:[a-z0-9-]+:\d{12}:file-system/\S+"
_VALUE_FROM = (
    r"arn:aws(?:-[a-z]+)*:secretsmanager:[a-z0-9-]+:\d{12}:secret:\S+"
    r"|arn:aws(?:-[a-z]+)*:ssm:[a-z0-9-]+:\d{12}:parameter/\S+|/[\w./-]+"
)
_DEVICE = r"(/[^:]+)(?::(/[^:]+))?(?::([rwm]{1,3}))?"


def _not_on(platform: str, name: str) -> AfterValidator:
    """What refuses a value that jobs on a platform cannot have."""

    def check(value: Any, info: ValidationInfo) -> Any:
        if value and info.data.get("platform") == platform:
            raise ValueError(f"there is none on {name}")
        return value

    return AfterValidator(check)


def user_of_pod(user: str, info: ValidationInfo) -> str:
    """Refuses a user by name, which Kubernetes cannot look up.

    Raises:
        ValueError: It is none by number, and `platform` is EKS.
    """
    if user and info.data.get("platform") == "EKS" and not re.fullmatch(r"\d+(?::\d+)?", user):
        raise ValueError("on EKS it is a number, with a group's behind a colon if need be")
    return user


def _mapping(value: Any) -> dict[str, Any]:
    given = pairs.mapping(value) if isinstance(value, str) else value
    if not isinstance(given, Mapping):
        raise ValueError(f"it is a {type(given).__name__}")  # noqa: TRY004  (pydantic collects ValueErrors only)
    for name in given:
        if not isinstance(name, str):
            raise ValueError(f"the name {limits.shown(name)} is a {type(name).__name__}")  # noqa: TRY004
        limits.text(name)
    return dict(given)


def _path(path: str) -> str:
    if not path.startswith("/") or path == "/" or ":" in path:
        raise ValueError(f"{limits.shown(path)} is no absolute path in the container")
    return path.rstrip("/")


def _each(check: Callable[[str, Any], Any]) -> Callable[[Any], dict[str, Any]]:
    def checked(value: Any) -> dict[str, Any]:
        return {name: check(name, content) for name, content in _mapping(value).items()}

    return checked


def _volume(path: str, volume: Any) -> Any:
    _path(path)
    described = _described(path, {"source": volume} if isinstance(volume, str) else volume)
    source = described["source"]
    if re.fullmatch(_EFS, source):
        _check_file_system(path, described, r"|fsap-[0-9a-f]{8,40}", "fsap-…")
        if described.get("access_point") and described.get("root") not in (None, "", "/"):
            raise ValueError(f"{path} has an access_point, which has a root of its own")
    elif re.fullmatch(_S3_FILES, source):
        _check_file_system(path, described, r"|arn:\S+", "ARN")
        if described.get("iam"):
            raise ValueError(f"iam of {path} is for EFS")
    elif source and not source.startswith("/") and not re.fullmatch(_CLAIM, source):
        raise ValueError(f"the source of {path} is neither of these")
    elif odd := [name for name in ("root", "access_point", "iam") if described.get(name)]:
        raise ValueError(f"{odd[0]} of {path} is for a file system")
    return volume if isinstance(volume, str) else described


def _described(path: str, volume: Any) -> dict[str, Any]:
    if not isinstance(volume, Mapping) or "source" not in volume:
        raise ValueError(f"{path} has no source")
    for name, value in volume.items():
        if name not in _VOLUME_KEYS:
            raise ValueError(f"{path} has {limits.shown(name)}, and there is {', '.join(_VOLUME_KEYS)}")
        if not isinstance(value, _VOLUME_KEYS[name]):
            raise ValueError(f"{name} of {path} is a {type(value).__name__}")  # noqa: TRY004
    limits.text(volume["source"])
    return dict(volume)


def _check_file_system(path: str, described: dict[str, Any], access_point: str, what: str) -> None:
    if not re.fullmatch("|/.*", described.get("root", "")):
        raise ValueError(f"root of {path} is no absolute path")
    if not re.fullmatch(access_point, described.get("access_point", "")):
        raise ValueError(f"access_point of {path} is no {what}")


def _mountable(volumes: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
    platform = info.data.get("platform")
    for path, volume in volumes.items():
        source = volume if isinstance(volume, str) else volume["source"]
        if source.startswith("/") and platform == "FARGATE":
            raise ValueError(f"{path} is a directory of the machine, and there is none on Fargate")
        if source.startswith("claim:") and platform not in ("", "EKS", None):
            raise ValueError(f"{path} is a volume of Kubernetes, and platform={platform!r}")
        if source.startswith(("fs-", "arn:")) and platform == "EKS":
            raise ValueError(f"{path} is a file system, which a pod mounts by a claim: 'claim:name'")
    return volumes


def _secret(name: str, source: Any) -> str:
    limits.check_variable(name)
    if not isinstance(source, str) or not re.fullmatch(_VALUE_FROM, source):
        raise ValueError(f"what {name} is to have is no ARN and no /name; the secret itself does not belong here")
    return source


def _apart_from_variables(secrets: dict[str, str], info: ValidationInfo) -> dict[str, str]:
    if twice := sorted(secrets.keys() & (info.data.get("environment") or {}).keys()):
        raise ValueError(f"{twice[0]} stands in environment, too")
    return secrets


def _ulimit(name: str, limit: Any) -> Any:
    if name not in ULIMITS:
        raise ValueError(f"there is no {limits.shown(name)}, but {', '.join(sorted(ULIMITS))}")
    both = limit if isinstance(limit, (list, tuple)) else (limit, limit)
    if len(both) != 2:
        raise ValueError(f"{name} has {len(both)} numbers")
    soft, hard = (_between(f"{name}=", number, -1) for number in both)
    if hard != -1 and not -1 < soft <= hard:
        raise ValueError(f"{name} has a soft limit above the hard one")
    return [soft, hard] if isinstance(limit, (list, tuple)) else soft


def _between(what: str, value: Any, least: int) -> int:
    number = limits.whole(value)
    if not least <= number <= limits.LARGEST:
        raise ValueError(f"{what}{limits.shown(value)} is out of range")
    return number


def _tmpfs(path: str, size: Any) -> float:
    _path(path)
    gigabytes = limits.number(size)
    if not 1 / 1024 <= gigabytes < limits.TOO_MUCH_MEMORY:
        raise ValueError(f"{path} has {limits.shown(size)} GB")
    return gigabytes


def _apart_from_volumes(tmpfs: dict[str, float], info: ValidationInfo) -> dict[str, float]:
    if twice := sorted(tmpfs.keys() & (info.data.get("volumes") or {}).keys()):
        raise ValueError(f"{twice[0]} stands in volumes, too")
    return tmpfs


def _devices(value: Any) -> str | list[str]:
    return limits.texts(value, _DEVICE)


def device_parts(device: str) -> tuple[str, str, str]:
    """The path on the machine, the path in the container, and the letters of the permissions; empty for the default."""
    found = re.fullmatch(_DEVICE, device)
    assert found is not None
    host, container, permissions = found.groups(default="")
    return host, container, permissions


def _writable_tmp(read_only: bool, info: ValidationInfo) -> bool:
    mounts = [info.data.get(name) for name in ("volumes", "tmpfs")]
    if read_only and None not in mounts and not any("/tmp" in (mount or {}) for mount in mounts):  # noqa: S108
        raise ValueError('nothing is mounted at /tmp, where the runner has to write: volumes={"/tmp": ""} does it')
    return read_only


def _stop(seconds: int, info: ValidationInfo) -> int:
    if seconds == 1:
        raise ValueError("out of range")
    if seconds > LONGEST_STOP_ON_FARGATE and info.data.get("platform") == "FARGATE":
        raise ValueError(f"Fargate waits {LONGEST_STOP_ON_FARGATE} seconds at most")
    return seconds


MachinesOnly = _not_on("FARGATE", "Fargate")
"""Marks an option that there is on machines, and not on Fargate."""

NotInPods = _not_on("EKS", "EKS")
"""Marks an option that there is on ECS, and not on EKS."""

Volumes = Annotated[dict[str, str | dict[str, Any]], BeforeValidator(_each(_volume)), AfterValidator(_mountable)]
Secrets = Annotated[dict[str, str], BeforeValidator(_each(_secret)), AfterValidator(_apart_from_variables), NotInPods]
Ulimits = Annotated[dict[str, int | list[int]], BeforeValidator(_each(_ulimit)), MachinesOnly, NotInPods]
Tmpfs = Annotated[dict[str, float], BeforeValidator(_each(_tmpfs)), AfterValidator(_apart_from_volumes), MachinesOnly]
Devices = Annotated[str | list[str], BeforeValidator(_devices), MachinesOnly, NotInPods]
ReadOnlyRoot = Annotated[limits.Flag, AfterValidator(_writable_tmp)]
StopTimeout = Annotated[limits.Whole, AfterValidator(_stop), NotInPods]
User = Annotated[str, limits.matching(r"|[\w.-]{1,64}(?::[\w.-]{1,64})?"), AfterValidator(user_of_pod)]
