"""Jobs that are described as a pod of one container: told as a container of ECS, and described as a pod again.

Sources: https://docs.aws.amazon.com/batch/latest/APIReference/API_EksContainer.html and the pages that it leads to.
"""

from __future__ import annotations

import re
from typing import Any

from moto.batch.exceptions import ClientException

_STEP = 0.25  # of a vCPU
_NAMESPACE = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_TYPES = {"cpu": "VCPU", "memory": "MEMORY", "nvidia.com/gpu": "GPU"}


def only_container(properties: dict[str, Any]) -> dict[str, Any]:
    """The container of `eksProperties`, or of `eksPropertiesOverride`.

    Raises:
        ClientException: There are several, which are no concern of the embedded AWS, or none.
    """
    containers = (properties.get("podProperties") or {}).get("containers") or []
    if len(containers) != 1:
        raise ClientException("The embedded AWS runs jobs of one container only")
    return dict(containers[0])


def check(asked: dict[str, Any]) -> None:
    """Refuses what AWS refuses of a pod.

    Args:
        asked: What RegisterJobDefinition was asked for.

    Raises:
        ClientException: It has something of ECS's, resources that there are not, or a namespace that is not allowed.
    """
    if wrong := {"platformCapabilities", "propagateTags", "containerProperties", "ecsProperties"} & asked.keys():
        raise ClientException(f"{', '.join(sorted(wrong))} must not be specified for jobs on Amazon EKS")
    pod = asked["eksProperties"].get("podProperties") or {}
    resources = only_container(asked["eksProperties"]).get("resources") or {}
    given = {name for amounts in resources.values() for name in amounts}
    if missing := {"cpu", "memory"} - given:
        raise ClientException(f"requests or limits of {', '.join(sorted(missing))} must be specified")
    _check_resources(resources)
    namespace = (pod.get("metadata") or {}).get("namespace")
    if namespace is not None and (
        namespace == "default" or namespace.startswith("kube") or not re.fullmatch(_NAMESPACE, namespace)
    ):
        raise ClientException(f"namespace {namespace} is not allowed")
    volumes = {volume.get("name") for volume in pod.get("volumes") or []}
    mounts = only_container(asked["eksProperties"]).get("volumeMounts") or []
    if unknown := {mount.get("name") for mount in mounts} - volumes:
        raise ClientException(f"volumeMounts refers to a volume that is not defined: {', '.join(map(str, unknown))}")


def as_container(properties: dict[str, Any]) -> dict[str, Any]:
    """`eksProperties` as `containerProperties`, or an override of the one as that of the other.

    Raises:
        ClientException: As above.
    """
    container = only_container(properties)
    _check_resources(container.get("resources") or {})
    command = [*(container.get("command") or ()), *(container.get("args") or ())]
    variables = [{**variable, "value": _expanded(variable.get("value", ""))} for variable in container.get("env") or ()]
    found = {
        "image": container.get("image"),
        "command": [_expanded(part) for part in command],
        "environment": variables,
        "resourceRequirements": _requirements(container.get("resources") or {}),
    }
    return {name: value for name, value in found.items() if value}


def described(properties: dict[str, Any], container: dict[str, Any], namespace: str) -> dict[str, Any]:
    """The pod of a job as DescribeJobs has it.

    Args:
        properties: `eksProperties` of the definition.
        container: What there is to say of the container.
        namespace: Of the compute environment.
    """
    pod = properties["podProperties"]
    amounts = {one["type"]: one["value"] for one in container["resourceRequirements"]}
    limits = {"memory": f"{amounts['MEMORY']}Mi", **({"nvidia.com/gpu": amounts["GPU"]} if "GPU" in amounts else {})}
    only = {
        **only_container(properties),
        "env": container["environment"],
        "resources": {"requests": {"cpu": amounts["VCPU"]}, "limits": limits},
        **_ended(container),
    }
    metadata = {"namespace": namespace, **(pod.get("metadata") or {})}
    name = {"podName": _name(container["taskArn"])} if "taskArn" in container else {}
    return {"podProperties": {**pod, **name, "containers": [only], "metadata": metadata}}


def described_attempt(properties: dict[str, Any], attempt: dict[str, Any], namespace: str) -> dict[str, Any]:
    """An attempt as DescribeJobs has it among `eksAttempts`; arguments as above."""
    container = attempt["container"]
    pod = properties["podProperties"]
    reason = status_reason(attempt.get("statusReason"))
    return {
        **{name: value for name, value in attempt.items() if name not in ("container", "statusReason")},
        **({"statusReason": reason} if reason else {}),
        "containers": [{"name": only_container(properties).get("name", "Default"), **_ended(container)}],
        "podName": _name(container["taskArn"]),
        "podNamespace": (pod.get("metadata") or {}).get("namespace", namespace),
    }


def status_reason(reason: str | None) -> str | None:
    """What there is to say of a pod's end; None for what ECS alone says, of a container that exited."""
    return None if reason and reason.startswith("Essential container") else reason


def _ended(container: dict[str, Any]) -> dict[str, Any]:
    if "exitCode" not in container:
        return {"reason": container["reason"]} if "reason" in container else {}
    code = container["exitCode"]
    return {"exitCode": code, "reason": container.get("reason", "Error" if code else "Completed")}


def _name(task_arn: str) -> str:
    return f"aws-batch.{task_arn.rpartition('/')[2]}"


def _check_resources(resources: dict[str, dict[str, str]]) -> None:
    for amounts in resources.values():
        if unknown := amounts.keys() - _TYPES.keys():
            raise ClientException(f"resources has {', '.join(sorted(unknown))}, and there is {', '.join(_TYPES)}")
        cpu, memory = amounts.get("cpu", "1"), amounts.get("memory", "4Mi")
        if not re.fullmatch(r"\d+(\.\d+)?", cpu) or float(cpu) < _STEP or float(cpu) % _STEP:
            raise ClientException(f"cpu must be a multiple of {_STEP}, not {cpu}")
        if not re.fullmatch(r"\d+Mi", memory) or int(memory[:-2]) < 4:
            raise ClientException(f"memory must be whole MiB (Mi), 4 or more, not {memory}")
        if not amounts.get("nvidia.com/gpu", "1").isdecimal():
            raise ClientException(f"nvidia.com/gpu must be a whole number, not {amounts['nvidia.com/gpu']}")
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    for name in {"memory", "nvidia.com/gpu"} & requests.keys() & limits.keys():
        if requests[name] != limits[name]:
            raise ClientException(f"requests and limits of {name} must be the same")
    if float(requests.get("cpu", "0")) > float(limits.get("cpu", "inf")):
        raise ClientException("requests of cpu must not be more than its limits")


def _requirements(resources: dict[str, dict[str, str]]) -> list[dict[str, str]]:
    amounts = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return [{"type": _TYPES[name], "value": value.removesuffix("Mi")} for name, value in amounts.items()]


def _expanded(text: str) -> str:
    """What Kubernetes makes of `$$`. Variables, `$(NAME)`, are none of ours."""
    return text.replace("$$", "$")
