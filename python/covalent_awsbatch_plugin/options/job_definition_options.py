"""The options for what no other option says: a job definition of one's own, or changes of what is registered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from . import limits, pairs
from .container_options import ContainerOptions
from .definition import option

# What stands in the definition alone, so that a definition of one's own has to say it.
_IN_DEFINITION = {
    *("ephemeral_storage", "shared_memory", "volumes", "secrets", "ulimits", "tmpfs", "devices", "privileged", "user"),
    *("read_only_root", "init", "stop_timeout", "ipc_mode"),
}
# What another option says, or what would be another kind of job.
_OTHERS = {
    "jobDefinitionName": "batch_job_definition_name says it",
    "type": "nodes says it",
    "nodeProperties": "nodes says how many there are, and the rest is said as of one container",
    "platformCapabilities": "platform says it",
    "retryStrategy": "retry_attempts and retry_on say it of each job",
}
_CONTAINER = "default"  # as `task.container.NAME`
_DESCRIPTIONS = ("containerProperties", "ecsProperties", "eksProperties")


def _own(name: str, info: ValidationInfo) -> str:
    if not name:
        return name
    if given := sorted(option for option in _IN_DEFINITION if info.data.get(option)):
        raise ValueError(f"{given[0]} cannot be said of a job: it belongs into that definition")
    if (runtime := info.data.get("runtime")) in ("bucket", "ecr"):
        raise ValueError(f"its image has to bring Covalent and this package, and runtime={runtime!r}")
    return name


def _overrides(value: Any, info: ValidationInfo) -> dict[str, Any]:
    given = pairs.mapping(value) if isinstance(value, str) else value
    if not isinstance(given, Mapping):
        raise ValueError(f"it is a {type(given).__name__}")  # noqa: TRY004  (pydantic collects ValueErrors only)
    if not given:
        return {}
    if info.data.get("job_definition"):
        raise ValueError("job_definition is given, and nothing is registered then")
    if wrong := [name for name in given if name in _OTHERS]:
        raise ValueError(f"{wrong[0]}: {_OTHERS[wrong[0]]}")
    _fit_the_platform(given, info.data.get("platform"))
    try:
        text = json.dumps(_without_none(given), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"it is no JSON: {error}") from None
    from covalent_awsbatch_plugin._core import field_problem  # for the few who need it

    if problem := field_problem("RegisterJobDefinitionRequest", text):
        raise ValueError(problem)
    _leave_what_runs_the_task(given, _is_fetched(info.data))
    return dict(given)


def _fit_the_platform(given: Mapping[str, Any], platform: str | None) -> None:
    if "eksProperties" in given and platform not in ("", "EKS", None):
        raise ValueError(f"eksProperties are for EKS, and platform={platform!r}")
    if platform == "EKS" and (wrong := [name for name in _DESCRIPTIONS[:2] if name in given]):
        raise ValueError(f"{wrong[0]}: on EKS a job has eksProperties")


def _is_fetched(options: Mapping[str, Any]) -> bool:
    """Whether the executor has the container fetch what it runs, as far as the options are known."""
    runtime, image = options.get("runtime"), options.get("container_image_uri")
    return runtime == "bucket" or (runtime == "auto" and image == "" and options.get("ecr_repo_name") == "")


def _leave_what_runs_the_task(given: Mapping[str, Any], is_fetched: bool) -> None:
    if wrong := [name for name in _DESCRIPTIONS if name in given and given[name] is None]:
        raise ValueError(f"without {wrong[0]} there is no container")
    tasks = (given.get("ecsProperties") or {}).get("taskProperties") or []
    containers = [one for task in tasks for one in task.get("containers") or []]
    pod = (given.get("eksProperties") or {}).get("podProperties") or {}
    for container in (given.get("containerProperties") or {}, *containers, *(pod.get("containers") or [])):
        if any(name in container and container[name] is None for name in ("environment", "env")):
            raise ValueError("the environment says what the container runs")
        variables = [container.get(name) or () for name in ("environment", "env", "secrets")]
        for variable in (one for some in variables for one in some):
            limits.check_variable(variable.get("name") or "")
        if "command" in container and is_fetched and container.get("name", _CONTAINER) == _CONTAINER:
            raise ValueError("the command fetches what the container runs; an image of one's own may have another one")


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_none(part) for name, part in value.items() if part is not None}
    return [_without_none(part) for part in value] if isinstance(value, (list, tuple)) else value


_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}(?::\d+)?"


class JobDefinitionOptions(ContainerOptions):
    """They come last: what they exclude stands before them."""

    job_definition: Annotated[
        str,
        limits.matching(rf"|{_NAME}|arn:aws(?:-[a-z]+)*:batch:[a-z0-9-]+:\d{{12}}:job-definition/{_NAME}"),
        AfterValidator(_own),
    ] = option(
        "",
        rule="must be the name of a job definition, name:revision or its ARN, for an image that has Covalent and this "
        "package; without options that belong into a definition; empty for definitions that the executor registers",
        doc="Job definition of one's own, as `name`, `name:revision` or ARN, of one container (`containerProperties`) "
        "whose image has Covalent and this package. Nothing is registered then, and only size, environment, time "
        "limit, attempts and tags are said of each job.",
        command_line=True,
    )
    job_definition_overrides: Annotated[dict[str, Any], BeforeValidator(_overrides)] = option(
        {},
        rule="must be a dict of fields of AWS Batch's RegisterJobDefinition",
        doc="Fields of AWS Batch's `RegisterJobDefinition` that are merged into what the executor registers, for what "
        "no option says. A dict goes into the dict there; of lists, an element takes the place of the one of its name; "
        "None takes a field away.",
    )
