"""What AWS Batch refuses: limits of its API."""

from __future__ import annotations

import json
import re
from typing import Any

from covalent_awsbatch_plugin.local.api_model import model_violations

from .messages import AwsError

LARGEST_OVERRIDES = 8192
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}$")


def refused(message: str) -> AwsError:
    """The error for a request that cannot be right."""
    return AwsError("ClientException", f"Error executing request, Exception : {message}")


def check_definition(asked: dict[str, Any], size: int) -> None:
    """What RegisterJobDefinition checks.

    Args:
        asked: The request.
        size: Its bytes.

    Raises:
        AwsError: It is refused.
    """
    _check_fields("RegisterJobDefinition", asked)
    _check_name(asked.get("jobDefinitionName"), "jobDefinitionName")
    if size > 24 * 1024:
        raise refused("Job definition size must not exceed 24 KiB")
    if asked.get("type") != "container":
        raise refused("The laboratory knows jobs with one container only")
    container = asked.get("containerProperties") or {}
    if not container.get("image"):
        raise refused("Container image must be provided")
    resources = {entry.get("type") for entry in container.get("resourceRequirements", ())}
    if not (container.get("memory") or "MEMORY" in resources) or not (container.get("vcpus") or "VCPU" in resources):
        raise refused("Container properties must have vcpus and memory")
    _check_container(container)
    _check_common(asked)


def check_job(asked: dict[str, Any], size: int) -> None:
    """What SubmitJob checks; arguments and errors as above."""
    _check_fields("SubmitJob", asked)
    _check_name(asked.get("jobName"), "jobName")
    for name in ("jobQueue", "jobDefinition"):
        if not asked.get(name):
            raise refused(f"{name} must be provided")
    if size > 30 * 1024:
        raise refused("Request size must not exceed 30 KiB")
    _check_container(asked.get("containerOverrides") or {})
    _check_common(asked)


def _check_fields(operation: str, asked: dict[str, Any]) -> None:
    if problem := model_violations("batch", operation, asked):
        raise refused(problem)


def overrides_are_too_long(asked: dict[str, Any]) -> bool:
    """Whether ECS will refuse the overrides, which Batch only finds out when the job is to start."""
    return len(json.dumps(asked.get("containerOverrides") or {}, separators=(",", ":"))) > LARGEST_OVERRIDES


def check_described(ids: Any) -> None:
    """What DescribeJobs checks."""
    if not isinstance(ids, list) or not 1 <= len(ids) <= 100:
        raise refused("jobs must contain between 1 and 100 elements")


def check_terminated(ids: Any) -> None:
    """What TerminateJobs checks of its jobs."""
    if not isinstance(ids, list) or not 1 <= len(ids) <= 50:
        raise refused("jobs must contain between 1 and 50 elements")


def check_reason(asked: dict[str, Any]) -> None:
    """What TerminateJob, TerminateJobs and CancelJob check."""
    if "jobs" not in asked and not asked.get("jobId"):
        raise refused("jobId must be provided")
    if not 1 <= len(asked.get("reason") or "") <= 1024:
        raise refused("reason must have 1 to 1024 characters")


def _check_name(name: Any, field: str) -> None:
    if not isinstance(name, str) or not _NAME.match(name):
        raise refused(f"{field} should match valid pattern: ^[A-Za-z0-9][A-Za-z0-9_-]{{0,127}}$")


def _check_container(container: dict[str, Any]) -> None:
    for entry in container.get("environment") or ():
        if not entry.get("name"):
            raise refused("Environment variable name must not be empty")
        if entry["name"].startswith("AWS_BATCH"):
            raise refused("Environment variable names must not start with AWS_BATCH")
    if any(word == "" for word in container.get("command") or ()):
        raise refused("Command must not contain empty strings")
    for entry in container.get("resourceRequirements") or ():
        value = str(entry.get("value", ""))
        if entry.get("type") in ("GPU", "MEMORY") and not (value.isdecimal() and int(value) > 0):
            raise refused(f"{entry['type']} must be a positive whole number")
        if entry.get("type") == "MEMORY" and int(value) < 4:
            raise refused("MEMORY must be at least 4 MiB")


def _check_common(asked: dict[str, Any]) -> None:
    retries = asked.get("retryStrategy") or {}
    if "attempts" in retries and not 1 <= retries["attempts"] <= 10:
        raise refused("attempts must be between 1 and 10")
    rules = retries.get("evaluateOnExit") or ()
    if len(rules) > 5:
        raise refused("evaluateOnExit must have at most 5 entries")
    if rules and "attempts" not in retries:
        raise refused("attempts must be provided with evaluateOnExit")
    for rule in rules:
        if str(rule.get("action", "")).upper() not in ("RETRY", "EXIT"):
            raise refused("action must be RETRY or EXIT")
        patterns = [str(rule[name]) for name in ("onExitCode", "onReason", "onStatusReason") if rule.get(name)]
        if not patterns or any("*" in pattern[:-1] or len(pattern) > 512 for pattern in patterns):
            raise refused("a pattern of evaluateOnExit may only end in *, and there must be one")
    seconds = (asked.get("timeout") or {}).get("attemptDurationSeconds")
    if seconds is not None and seconds < 60:
        raise refused("attemptDurationSeconds must be at least 60")
    tags = asked.get("tags") or {}
    if len(tags) > 50:
        raise refused("A resource can have at most 50 tags")
    if any(not 1 <= len(key) <= 128 or key.lower().startswith("aws:") or len(tags[key]) > 256 for key in tags):
        raise refused("A tag's key or value is not allowed")
