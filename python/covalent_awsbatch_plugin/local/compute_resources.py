"""What AWS refuses of an environment's compute resources, and what it changes of them in place."""

from __future__ import annotations

from typing import Any

from moto.batch.exceptions import ClientException
from moto.batch.models import BatchBackend, ComputeEnvironment

from .platforms import MANAGED

# https://docs.aws.amazon.com/batch/latest/APIReference/API_ComputeScalingPolicy.html
_DELAYS = range(20, 10_081)

# By the strategy: the only type that has it.
# https://docs.aws.amazon.com/batch/latest/userguide/allocation-strategies.html
_TYPES = {
    "BEST_FIT_PROGRESSIVE_ORDERED": "EC2",
    "SPOT_CAPACITY_OPTIMIZED": "SPOT",
    "SPOT_CAPACITY_OPTIMIZED_PRIORITIZED": "SPOT",
    "SPOT_PRICE_CAPACITY_OPTIMIZED": "SPOT",
}

# What an environment with a service role of the user's changes; the rest takes the service-linked role.
# https://docs.aws.amazon.com/batch/latest/userguide/scaling-updates.html
_SCALING = {"minvCpus", "maxvCpus", "desiredvCpus", "scalingPolicy"}
_SCALING_ON_FARGATE = {"maxvCpus", "subnets", "securityGroupIds"}


def check_resources(resources: dict[str, Any]) -> None:
    """Refuses a delay out of its limits, and a strategy or a delay where there is none.

    Args:
        resources: `computeResources`, as they are asked for.

    Raises:
        ClientException: One of these.
    """
    kind, strategy = str(resources.get("type", "")), str(resources.get("allocationStrategy", ""))
    if "scalingPolicy" in resources and (kind.startswith("FARGATE") or kind == MANAGED):
        raise ClientException(f"scalingPolicy is not applicable to compute resources of type {kind}")
    delay = (resources.get("scalingPolicy") or {}).get("minScaleDownDelayMinutes")
    if delay is not None and int(delay) != 0 and int(delay) not in _DELAYS:
        raise ClientException(f"minScaleDownDelayMinutes must be 0, or between 20 and 10080, not {delay}")
    if _TYPES.get(strategy, kind) != kind:
        raise ClientException(f"allocationStrategy {strategy} is not supported for compute resources of type {kind}")


def with_groups(backend: BatchBackend, resources: dict[str, Any]) -> dict[str, Any]:
    """The resources with the security groups that their machines have, which may be those of the launch template.

    Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_ComputeResource.html

    Args:
        backend: Of the region.
        resources: `computeResources`, as they are asked for.

    Raises:
        ClientException: There are none, in either place.
    """
    if resources.get("securityGroupIds") or not resources:
        return resources
    asked = resources.get("launchTemplate") or {}
    groups: list[str] = []
    if asked.get("launchTemplateId") and not str(resources.get("type", "")).startswith("FARGATE"):
        template = backend.ec2_backend.get_launch_template(asked["launchTemplateId"])
        data = template.get_version(asked.get("version") or "$Default").data
        groups = [*data.get("SecurityGroupIds", ())]
        for interface in data.get("NetworkInterfaces", ()):
            groups += interface.get("Groups", ())
    if not groups:
        raise ClientException("securityGroupIds must be specified, or security groups in the launch template")
    return {**resources, "securityGroupIds": groups}


def update_resources(environment: ComputeEnvironment, changes: dict[str, Any]) -> None:
    """Changes what a scaling update changes.

    Args:
        environment: Of the embedded AWS; each has a service role of the user's.
        changes: `computeResources` of the request.

    Raises:
        ClientException: It would take an infrastructure update, or what would come of it is refused.
    """
    resources = environment.compute_resources
    allowed = _SCALING_ON_FARGATE if "FARGATE" in str(resources.get("type")) else _SCALING
    if wrong := sorted(name for name in changes.keys() - allowed if changes[name] != resources.get(name)):
        raise ClientException(
            f"{', '.join(wrong)} cannot be changed: an infrastructure update needs the service-linked role, and "
            f"{environment.name} has {environment.service_role}"
        )
    changed = {**resources, **changes}
    check_resources(changed)
    if int(changed.get("minvCpus", 0)) > int(changed["maxvCpus"]):
        raise ClientException("minvCpus must not be greater than maxvCpus")
    environment.compute_resources = changed


def check_unused(backend: BatchBackend, environment: ComputeEnvironment) -> None:
    """Refuses to delete what a queue has.

    Raises:
        ClientException: A queue has the environment.
    """
    queues = [queue.name for queue in backend._job_queues.values() if environment in queue.environments]  # noqa: SLF001
    if queues:
        raise ClientException(f"Cannot delete, found existing JobQueue relationship: {', '.join(queues)}")
