"""The job of a task, as the core submits it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from covalent_awsbatch_plugin.agreement.naming import (
    ATTEMPTS_BEFORE,
    BUCKET_OWNER,
    CHECKPOINT,
    ENVIRONMENT,
    ENVIRONMENT_PYTHON,
    FUNC_FILENAME,
    JOB_NAME,
    KMS_KEY,
    NODE_RESULTS,
    PREVIOUS_JOB,
    RESULT_FILENAME,
    SIGNING_KEY,
    SPOT_NOTICE,
)
from covalent_awsbatch_plugin.environment import platforms
from covalent_awsbatch_plugin.environment.program import program

from . import container as containers
from . import node_request, pod
from .merging import merged

if TYPE_CHECKING:
    from covalent_awsbatch_plugin.environment.store import Environment
    from covalent_awsbatch_plugin.options.settings import Settings


# First part of every log stream's name, the public plugin's.
_STREAM_PREFIX = "covalent-batch"

# Resources in the definition, which demands some, and on Fargate some that go together; each job overrides them.
_PLACEHOLDER = {"VCPU": "1", "MEMORY": "2048"}

# Where no rule matches, Batch tries again. So these rules end the job where a container ran and exited, unless the
# agent could not look at it (CannotInspectContainerError).
_ONLY_INFRASTRUCTURE = [
    {"action": "RETRY", "onReason": "Cannot*"},
    {"action": "EXIT", "onStatusReason": "Essential container in task exited*"},
]
# Of a pod AWS does not say whether its container ran, so that exit codes tell: 143 is that of a container which was
# told to end, as by a machine that is taken back. Programs end with 1, 2 or 128 and a signal; without a code none ran.
_ONLY_INFRASTRUCTURE_OF_PODS = [
    {"action": "RETRY", "onExitCode": "143"},
    {"action": "EXIT", "onExitCode": "1*"},
    {"action": "EXIT", "onExitCode": "2*"},
]

# What ends a job that another one may follow (`resubmission`); Batch takes five rules in all.
# https://docs.aws.amazon.com/batch/latest/APIReference/API_EvaluateOnExit.html
_OUT_OF_MEMORY = [
    {"action": "EXIT", "onReason": "OutOfMemoryError*"},
    {"action": "EXIT", "onStatusReason": "Essential container in task exited*", "onExitCode": "137"},
]
_OUT_OF_MEMORY_OF_A_POD = [{"action": "EXIT", "onExitCode": "137"}]
_HOST_LOST = {
    "FARGATE": "Your Spot Task was interrupted*",
    "EKS": "Pod was terminated in response to imminent node shutdown*",
}
_EC2_LOST = "Host EC2*"


def job_request(  # noqa: PLR0913
    settings: Settings,
    dispatch_id: str,
    node_id: int,
    account: str,
    environment: Environment | None = None,
    *,
    attempts_before: int = 0,
    previous_job: str = "",
) -> dict[str, Any]:
    """Describes the job of a task.

    Args:
        settings: The executor's options.
        dispatch_id: The task's dispatch.
        node_id: Its number there.
        account: Account that the bucket has to belong to; empty for no check.
        environment: What the job fetches first, or the image that has it; None for an image of the user's that has its
            packages and starts the runner itself.
        attempts_before: How many attempts earlier jobs of the task have had.
        previous_job: Id of the job of the task that it follows; empty if it is the first.

    Returns:
        What `Client.submit` takes, as JSON. The fields of `definition` are those of `RegisterJobDefinition` and the
        fields of `job` those of `SubmitJob`; roles may be names. With a `revision` nothing is registered.
    """
    own = {"revision": settings.job_definition} if settings.job_definition else {}
    variables = _environment(settings, dispatch_id, node_id, account, attempts_before)
    if previous_job:
        variables[PREVIOUS_JOB] = previous_job
    return {
        **own,
        "family": JOB_NAME.format(dispatch_id=dispatch_id, node_id=""),
        "definition": _named(settings) if own else _definition(settings, environment),
        "job": _job(settings, JOB_NAME.format(dispatch_id=dispatch_id, node_id=node_id), variables, attempts_before),
    }


def _definition(settings: Settings, environment: Environment | None) -> dict[str, Any]:
    """What all jobs of the same options share; nothing in it may differ from task to task."""
    container: dict[str, Any] = {
        "image": (environment and environment.image) or settings.image,
        "jobRoleArn": settings.batch_job_role_name,
        "executionRoleArn": settings.batch_execution_role_name,
        "resourceRequirements": _resources(_PLACEHOLDER),
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-region": settings.region,
                "awslogs-group": settings.batch_job_log_group_name,
                "awslogs-create-group": "true",
                "awslogs-stream-prefix": _STREAM_PREFIX,
            },
        },
    }
    if environment is not None:
        variables = dict(environment.variables)
        if not environment.image:
            container["command"] = ["python3", "-c", program(in_pod=settings.platform == "EKS")]
            variables.update({ENVIRONMENT: " ".join(environment.keys), ENVIRONMENT_PYTHON: environment.python})
        if variables:
            container["environment"] = _pairs(variables)
    container.update(_of_platform(settings))
    definition: dict[str, Any] = {**_named(settings), "type": "container"}
    if settings.platform == "EKS":
        definition["eksProperties"] = pod.as_pod(container, settings)
    else:
        definition["containerProperties"] = {**container, **containers.properties(settings)}
    if settings.consumable_resources:
        definition["consumableResourceProperties"] = _consumables(settings)
    theirs = dict(settings.job_definition_overrides)
    if containers.is_task(settings):
        definition = merged(definition, {"containerProperties": theirs.pop("containerProperties", {})})
        definition["ecsProperties"] = containers.as_task(definition.pop("containerProperties"), settings)
    definition = merged(definition, theirs)
    return node_request.definition(definition) if settings.nodes > 1 else definition


def _of_platform(settings: Settings) -> dict[str, Any]:
    """What there is on Fargate or Managed Instances alone."""
    processor = platforms.asked_for(settings)
    runs_on = {"runtimePlatform": {"cpuArchitecture": processor, "operatingSystemFamily": "LINUX"}}
    if settings.platform == "MANAGED_INSTANCES":
        return runs_on
    if settings.platform != "FARGATE":
        return {}
    found: dict[str, Any] = {
        "fargatePlatformConfiguration": {"platformVersion": "LATEST"},
        "networkConfiguration": {"assignPublicIp": "ENABLED" if settings.assign_public_ip else "DISABLED"},
    }
    if processor != "X86_64":
        found.update(runs_on)
    if settings.ephemeral_storage:
        found["ephemeralStorage"] = {"sizeInGiB": settings.ephemeral_storage}
    return found


def _named(settings: Settings) -> dict[str, Any]:
    named: dict[str, Any] = {"jobDefinitionName": settings.batch_job_definition_name}
    # AWS refuses a pod with a capability.
    return named if settings.platform == "EKS" else {**named, "platformCapabilities": [settings.platform or "EC2"]}


def _job(settings: Settings, name: str, environment: dict[str, str], attempts_before: int) -> dict[str, Any]:
    """What travels with the job."""
    resources = {"VCPU": f"{settings.vcpu:.12g}", "MEMORY": str(settings.memory_mib)}
    if settings.num_gpus:
        resources["GPU"] = str(settings.num_gpus)
    retry: dict[str, Any] = {"attempts": settings.retry_attempts - attempts_before}
    if rules := _rules(settings):
        retry["evaluateOnExit"] = rules
    job: dict[str, Any] = {"jobName": name, "jobQueue": settings.batch_queue, "retryStrategy": retry}
    overrides = {"resourceRequirements": _resources(resources), "environment": _pairs(environment)}
    if settings.platform == "EKS":
        single = {"eksPropertiesOverride": pod.as_pod_overrides(overrides)}
    elif containers.is_task(settings):
        single = {"ecsPropertiesOverride": containers.as_task_overrides(overrides)}
    else:
        single = {"containerOverrides": overrides}
    job.update(node_request.overrides(single, settings.nodes) if settings.nodes > 1 else single)
    if settings.share_identifier:
        job["shareIdentifier"] = settings.share_identifier
        job["schedulingPriorityOverride"] = settings.scheduling_priority
    if settings.consumable_resources and settings.job_definition:
        job["consumableResourcePropertiesOverride"] = _consumables(settings)
    if settings.time_limit:
        job["timeout"] = {"attemptDurationSeconds": settings.time_limit}
    if settings.tags:
        job["tags"] = settings.tags
        if settings.platform != "EKS":  # which refuses it
            job["propagateTags"] = True
    return job


def _rules(settings: Settings) -> list[dict[str, str]]:
    """When Batch itself tries the job again: after anything, where no rule matches. The first one that does counts."""
    in_pod = settings.platform == "EKS"
    rules = []
    if settings.retry_memory_factor > 1:
        rules += _OUT_OF_MEMORY_OF_A_POD if in_pod else _OUT_OF_MEMORY
    if settings.retry_queues:
        rules.append({"action": "EXIT", "onStatusReason": _HOST_LOST.get(settings.platform, _EC2_LOST)})
    if settings.retry_on == "infrastructure":
        rules += _ONLY_INFRASTRUCTURE_OF_PODS if in_pod else _ONLY_INFRASTRUCTURE
    return rules


def _consumables(settings: Settings) -> dict[str, Any]:
    needed = [{"consumableResource": name, "quantity": many} for name, many in settings.consumable_resources.items()]
    return {"consumableResourceList": needed}


def _pairs(variables: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in variables.items()]


def _resources(amounts: dict[str, str]) -> list[dict[str, str]]:
    return [{"type": kind, "value": value} for kind, value in amounts.items()]


def _environment(
    settings: Settings, dispatch_id: str, node_id: int, account: str, attempts_before: int
) -> dict[str, str]:
    """The container's variables: the user's, and what tells it what to run and what to demand of the bucket."""
    demands = {BUCKET_OWNER: account, KMS_KEY: settings.s3_kms_key_id}
    if settings.nodes > 1:
        results = settings.node_results if settings.node_results == "all" else ""
        demands |= {NODE_RESULTS: results, ATTEMPTS_BEFORE: str(attempts_before or "")}
    return {
        # Nothing else tells a container on EC2 its region. Our runner's S3 client needs one, and so does the boto3 of a
        # function, which knows the older name alone.
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        **settings.environment,
        "S3_BUCKET_NAME": settings.s3_bucket_name,
        "COVALENT_TASK_FUNC_FILENAME": FUNC_FILENAME.format(dispatch_id=dispatch_id, node_id=node_id),
        "RESULT_FILENAME": RESULT_FILENAME.format(dispatch_id=dispatch_id, node_id=node_id),
        SIGNING_KEY: secrets.token_hex(32),
        **({CHECKPOINT: f"{settings.checkpoint_interval:g}"} if settings.checkpoint else {}),
        **({SPOT_NOTICE: "1"} if settings.spot_notice and settings.platform == "EC2" else {}),
        **{name: value for name, value in demands.items() if value},
    }
