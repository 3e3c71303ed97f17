"""Jobs that are described as an ECS task of one container: told as a container, and described as a task again."""

from __future__ import annotations

from typing import Any

from moto.batch.exceptions import ClientException

# What belongs to the task, with the name that it has among the properties of a container.
_OF_CONTAINER = {
    "executionRoleArn": "executionRoleArn",
    "taskRoleArn": "jobRoleArn",
    "volumes": "volumes",
    "ephemeralStorage": "ephemeralStorage",
    "networkConfiguration": "networkConfiguration",
    "runtimePlatform": "runtimePlatform",
}
_ENDINGS = ("exitCode", "reason", "logStreamName", "networkInterfaces")


def only_container(properties: dict[str, Any]) -> dict[str, Any]:
    """The container of `ecsProperties`, or of `ecsPropertiesOverride`.

    Raises:
        ClientException: There are several, which are no concern of the embedded AWS, or none.
    """
    containers = [container for task in properties.get("taskProperties") or [] for container in task["containers"]]
    if len(containers) != 1:
        raise ClientException("The embedded AWS runs jobs of one container only")
    return dict(containers[0])


def as_container(properties: dict[str, Any]) -> dict[str, Any]:
    """`ecsProperties` as `containerProperties`.

    Raises:
        ClientException: See above.
    """
    container = only_container(properties)
    [task] = properties["taskProperties"]
    return {**container, **{ours: task[name] for name, ours in _OF_CONTAINER.items() if name in task}}


def described(properties: dict[str, Any], container: dict[str, Any]) -> dict[str, Any]:
    """The container of a job as DescribeJobs has it of a task.

    Args:
        properties: `ecsProperties` of the definition.
        container: What there is to say of the container.
    """
    [task] = properties["taskProperties"]
    names = {*only_container(properties), *_ENDINGS, "environment", "command", "resourceRequirements"}
    place = {name: container[name] for name in ("taskArn", "containerInstanceArn") if name in container}
    return {
        "taskProperties": [
            {**task, **place, "containers": [{name: container[name] for name in names if name in container}]}
        ]
    }


def described_attempt(properties: dict[str, Any], attempt: dict[str, Any]) -> dict[str, Any]:
    """An attempt as DescribeJobs has it of a task; arguments as above."""
    container = attempt["container"]
    ended = {name: container[name] for name in _ENDINGS if name in container}
    place = {name: container[name] for name in ("taskArn", "containerInstanceArn") if name in container}
    containers = [{"name": only_container(properties).get("name", "default"), **ended}]
    rest = {name: value for name, value in attempt.items() if name != "container"}
    return {**rest, "taskProperties": [{**place, "containers": containers}]}
