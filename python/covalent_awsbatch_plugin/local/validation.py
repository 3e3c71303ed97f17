"""Checks requests that AWS Batch refuses and moto accepts, so that errors are found here and not in production."""

from __future__ import annotations

import json
from typing import Any

from moto.batch.exceptions import ClientException

from covalent_awsbatch_plugin.options import fargate

from .api_model import model_violations

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


def check_submission(submission: dict[str, Any]) -> None:
    """Refuses what SubmitJob refuses.

    Raises:
        ClientException: The payload is too large, or a part of it is wrong or unknown.
    """
    check_fields("SubmitJob", submission)
    if len(json.dumps(submission)) > _MAX_SUBMISSION_BYTES:
        raise ClientException(f"A SubmitJob request must be at most {_MAX_SUBMISSION_BYTES} bytes")
    check_container(submission.get("containerOverrides") or {})
    check_retry_strategy(submission.get("retryStrategy"))
    size = (submission.get("arrayProperties") or {}).get("size")
    if size is not None and not 2 <= int(size) <= 10_000:
        raise ClientException(f"arrayProperties.size must be between 2 and 10000, not {size}")


def check_platform(platforms: list[str] | None, kinds: list[str]) -> None:
    """Refuses a job for machines on a queue of Fargate, and the other way round.

    Args:
        platforms: The definition's platformCapabilities.
        kinds: Types of the queue's compute environments.

    Raises:
        ClientException: They do not go together.
    """
    for platform in platforms or ["EC2"]:
        if any(kind.startswith("FARGATE") != (platform == "FARGATE") for kind in kinds):
            raise ClientException(
                f"Job Queue is attached to Compute Environment that can not run Jobs with capability {platform}"
            )


def check_fargate(container: dict[str, Any], resources: list[dict[str, str]]) -> None:
    """Refuses what a job on Fargate cannot have.

    Args:
        container: The definition's containerProperties.
        resources: VCPU, MEMORY and GPU: the definition's, or what the job makes of them.

    Raises:
        ClientException: It has no execution role, asks for GPUs, or for a size that there is not.
    """
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
