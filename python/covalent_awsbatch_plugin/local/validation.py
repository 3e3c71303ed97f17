"""Checks requests that AWS Batch refuses and moto accepts, so that errors are found here and not in production."""

from __future__ import annotations

import json
import re
from typing import Any

from moto.batch.exceptions import ClientException

from covalent_awsbatch_plugin.options import fargate
from covalent_awsbatch_plugin.options.container_limits import ULIMITS

from .api_model import model_violations
from .ecs_task import only_container
from .fair_share import LARGEST_PRIORITY

# Limits: https://docs.aws.amazon.com/batch/latest/userguide/service_limits.html and the API's own model.
_MAX_SUBMISSION_BYTES = 30 * 1024
_MAX_DEFINITION_BYTES = 24 * 1024
_MAX_ATTEMPTS = 10
_MAX_RULES = 5


def check_fields(operation: str, request: dict[str, Any]) -> None:
    """Refuses fields that the API does not have, those of another type, and a request that lacks one.

    Raises:
        ClientException: The request does not fit AWS's model of the operation.
    """
    if problem := model_violations("batch", operation, request):
        raise ClientException(problem)


def check_timeout(timeout: dict[str, Any] | None, shortest: int) -> None:
    """Refuses a time limit below the shortest, which is 60 seconds in the real service.

    Raises:
        ClientException: The limit is too short.
    """
    seconds = (timeout or {}).get("attemptDurationSeconds")
    if seconds is not None and int(seconds) < shortest:
        raise ClientException(f"attemptDurationSeconds must be at least {shortest} seconds, not {seconds}")


def check_retry_strategy(strategy: dict[str, Any] | None) -> None:
    """Refuses attempts out of range, too many rules, unknown actions, and patterns with a `*` before their end.

    Raises:
        ClientException: One of these.
    """
    strategy = strategy or {}
    attempts = strategy.get("attempts")
    if attempts is not None and not 1 <= int(attempts) <= _MAX_ATTEMPTS:
        raise ClientException(f"retryStrategy.attempts must be between 1 and {_MAX_ATTEMPTS}, not {attempts}")
    rules = strategy.get("evaluateOnExit") or []
    if len(rules) > _MAX_RULES:
        raise ClientException(f"evaluateOnExit must have at most {_MAX_RULES} rules, not {len(rules)}")
    for rule in rules:
        if str(rule.get("action")).upper() not in ("RETRY", "EXIT"):
            raise ClientException(f"evaluateOnExit.action must be RETRY or EXIT, not {rule.get('action')}")
        for name in ("onStatusReason", "onReason", "onExitCode"):
            if "*" in rule.get(name, "")[:-1]:
                raise ClientException(f"evaluateOnExit.{name} may have a * only at its end: {rule[name]}")


def check_container(container: dict[str, Any]) -> None:
    """Refuses empty strings in a command, reserved names of variables, and definitions that are too large.

    Args:
        container: A definition's containerProperties or SubmitJob's containerOverrides.

    Raises:
        ClientException: One of these.
    """
    if any(part == "" for part in container.get("command") or []):
        raise ClientException("Container command must not contain an empty string")
    for variable in container.get("environment") or []:
        if variable.get("name", "").startswith("AWS_BATCH"):
            raise ClientException(f"Environment variable names must not start with AWS_BATCH: {variable['name']}")
    if len(json.dumps(container)) > _MAX_DEFINITION_BYTES:
        raise ClientException(f"A container's properties must be at most {_MAX_DEFINITION_BYTES} bytes")


def check_mounts(container: dict[str, Any]) -> None:
    """Refuses mounts of volumes that there are not, two at one path, and limits that Linux does not have.

    Args:
        container: A definition's containerProperties.

    Raises:
        ClientException: One of these, or options of EFS that exclude each other.
    """
    volumes = {volume.get("name"): volume for volume in container.get("volumes") or []}
    mounts = container.get("mountPoints") or []
    tmpfs = (container.get("linuxParameters") or {}).get("tmpfs") or []
    if missing := {mount.get("sourceVolume") for mount in mounts} - volumes.keys():
        raise ClientException(f"mountPoints refers to a volume that is not defined: {', '.join(map(str, missing))}")
    paths = [mount.get("containerPath") for mount in (*mounts, *tmpfs)]
    if len(set(paths)) < len(paths):
        raise ClientException("Duplicate mount point")
    if unknown := {limit["name"] for limit in container.get("ulimits") or []} - ULIMITS:
        raise ClientException(f"ulimits has an unknown name: {', '.join(unknown)}")
    for volume in volumes.values():
        efs = volume.get("efsVolumeConfiguration") or {}
        access = efs.get("authorizationConfig") or {}
        if access and efs.get("transitEncryption") != "ENABLED":
            raise ClientException("transitEncryption must be ENABLED with an authorizationConfig")
        if access.get("accessPointId") and efs.get("rootDirectory", "/") != "/":
            raise ClientException("rootDirectory must be omitted or / with an access point")


def check_submission(submission: dict[str, Any]) -> None:
    """Refuses what SubmitJob refuses.

    Raises:
        ClientException: The payload is too large, or a part of it is wrong or unknown.
    """
    check_fields("SubmitJob", submission)
    if len(json.dumps(submission)) > _MAX_SUBMISSION_BYTES:
        raise ClientException(f"A SubmitJob request must be at most {_MAX_SUBMISSION_BYTES} bytes")
    for one in (submission, *((submission.get("nodeOverrides") or {}).get("nodePropertyOverrides") or [])):
        check_container(one.get("containerOverrides") or {})
        if one.get("ecsPropertiesOverride"):
            check_container(only_container(one["ecsPropertiesOverride"]))
    check_retry_strategy(submission.get("retryStrategy"))
    size = (submission.get("arrayProperties") or {}).get("size")
    if size is not None and not 2 <= int(size) <= 10_000:
        raise ClientException(f"arrayProperties.size must be between 2 and 10000, not {size}")


def check_share(policy: str | None, share: str | None, priorities: list[int | None]) -> None:
    """Refuses a job without share for a queue that has a scheduling policy, and the other way round.

    Args:
        policy: ARN of the queue's scheduling policy, if it has one.
        share: The job's shareIdentifier.
        priorities: schedulingPriorityOverride and the definition's schedulingPriority.

    Raises:
        ClientException: They do not go together, or the priority is out of range or missing.
    """
    given = [priority for priority in priorities if priority is not None]
    if wrong := [priority for priority in given if not 0 <= priority <= LARGEST_PRIORITY]:
        raise ClientException(f"Scheduling priority must be between 0 and {LARGEST_PRIORITY}, not {wrong[0]}")
    if share and not policy:
        raise ClientException("shareIdentifier must not be specified for a job queue without a scheduling policy")
    if policy and not share:
        raise ClientException("shareIdentifier must be specified for a job queue with a fair-share scheduling policy")
    if share and not re.fullmatch(r"[A-Za-z0-9]{1,255}\*?", share):
        raise ClientException("shareIdentifier must have 1 to 255 letters and digits")
    if policy and not given:
        raise ClientException("schedulingPriority must be in the job definition, or overridden, on a fair-share queue")


def check_platform(needed: set[str], platforms: set[str]) -> None:
    """Refuses a job for machines on a queue of Fargate, and the other way round.

    Args:
        needed: What the definition is for.
        platforms: What the queue's compute environments have.

    Raises:
        ClientException: They do not go together.
    """
    for platform in needed:
        if platforms - {platform}:
            raise ClientException(
                f"Job Queue is attached to Compute Environment that can not run Jobs with capability {platform}"
            )


def check_managed_instances(asked: dict[str, Any]) -> None:
    """Refuses what a job on Managed Instances cannot have.

    Source: https://docs.aws.amazon.com/batch/latest/userguide/ecs-managed-instances-job-definitions.html

    Args:
        asked: What RegisterJobDefinition was asked for.

    Raises:
        ClientException: It is not described as an ECS task, or has something of Fargate's.
    """
    if "ecsProperties" not in asked:
        raise ClientException("Jobs with the MANAGED_INSTANCES platform capability must use ecsProperties")
    [task] = asked["ecsProperties"]["taskProperties"]
    if wrong := {"networkConfiguration", "platformVersion", "ephemeralStorage"} & task.keys():
        raise ClientException(f"{', '.join(sorted(wrong))} must not be specified for jobs on Managed Instances")
    if task.get("networkMode", "host") != "host":
        raise ClientException(f"networkMode must be host, not {task['networkMode']}")


def check_fargate(container: dict[str, Any], resources: list[dict[str, str]]) -> None:
    """Refuses what a job on Fargate cannot have.

    Args:
        container: The definition's containerProperties.
        resources: VCPU, MEMORY and GPU: the definition's, or what the job makes of them.

    Raises:
        ClientException: It has no execution role, asks for GPUs, for a size that there is not, or for something that
            machines have.
    """
    linux = container.get("linuxParameters") or {}
    asked_for = {name: container.get(name) for name in ("privileged", "ulimits")}
    asked_for |= {name: linux.get(name) for name in ("sharedMemorySize", "tmpfs", "devices")}
    asked_for["host"] = [volume for volume in container.get("volumes") or [] if (volume.get("host") or {})]
    if refused := [name for name, value in asked_for.items() if value]:
        raise ClientException(f"{', '.join(refused)} must not be specified for jobs on Fargate")
    if not container.get("executionRoleArn"):
        raise ClientException("executionRoleArn must be provided for jobs on Fargate")
    asked = {resource["type"]: float(resource["value"]) for resource in resources}
    if "GPU" in asked:
        raise ClientException("GPUs are not available on Fargate")
    if asked.get("MEMORY") not in fargate.MEMORY.get(asked.get("VCPU", 0), ()):
        raise ClientException(f"Fargate has no {asked.get('VCPU')} vCPUs with {asked.get('MEMORY')} MiB of memory")
    disk = (container.get("ephemeralStorage") or {}).get("sizeInGiB")
    if disk is not None and disk not in fargate.DISK:
        raise ClientException(f"ephemeralStorage.sizeInGiB must be between 21 and 200, not {disk}")
