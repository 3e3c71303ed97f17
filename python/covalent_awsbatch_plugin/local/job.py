"""A job of the embedded AWS: extends moto's record by the fields of a job that really runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

from moto.batch.models import Job
from moto.batch.utils import JobStatus

from covalent_awsbatch_plugin.options.instance_types import Size

from . import ecs_task, eks_pod
from .definition import LocalDefinition
from .platforms import eks_configuration
from .retry import Outcome
from .summary import JobSummary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    class Stoppable(Protocol):
        """What a job runs as; see `JobProcess`."""

        def stop(self, grace: float) -> None:
            """Ends it, by force after so many seconds."""

        def kill(self) -> None:
            """Ends it by force."""


WAITING = (JobStatus.SUBMITTED, JobStatus.PENDING, JobStatus.RUNNABLE)
ENDED = (JobStatus.SUCCEEDED, JobStatus.FAILED)


class LocalJob(Job):
    """A job whose states, attempts and reasons are those of its process. Every change of it happens under `api_lock`.

    Moto's class is a thread that starts a container; this one is never started as a thread.

    Attributes:
        attempts: The attempts that have ended, as DescribeJobs shows them.
        retry_strategy: Batch's `retryStrategy`, SubmitJob's before the definition's.
        number: Its place in the order of submission, which it keeps when it is retried.
        share: Its share of a queue with a scheduling policy; empty in another queue.
        priority: Its priority within the share.
        consumables: How much it needs of consumable resources, by name or ARN.
        end_reason: Reason of its termination; None if it was not terminated.
        process: What runs, while it runs.
        nodes: Its nodes, if it has several: jobs of their own, which nobody schedules.
    """

    terminator: ClassVar[Callable[[LocalJob, str], None]]
    """Terminates a job with a reason; set while an embedded AWS runs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._state: str = JobStatus.SUBMITTED.value
        self.created_at = now()
        self.started_at: int | None = None
        self.stopped_at: int | None = None
        self.status_reason: str | None = None
        self.retry_strategy: dict[str, Any] = {"attempts": 1, "evaluateOnExit": []}
        self.propagate_tags = False
        self.number = 0
        self.share = ""
        self.priority = 0
        self.consumables: dict[str, int] = {}
        self.end_reason: str | None = None
        self.is_cancelled = False
        self.process: Stoppable | None = None
        self.nodes: Sequence[LocalJob] = ()
        self.parent_job: LocalJob | None = None
        self._task: dict[str, Any] = {}
        self._attempt_started_at: int | None = None

    @property
    def status(self) -> str:
        """The job's state; moto would change its own at every look-up."""
        return self._state

    @status.setter
    def status(self, value: str) -> None:
        self._state = JobStatus(value).value

    @property
    def children(self) -> list[LocalJob]:
        """The jobs of an array, of which this one is the parent."""
        return [child for child in self._child_jobs or [] if isinstance(child, LocalJob)]

    @property
    def vcpus(self) -> float:
        """How many vCPUs the job asks for, on all its nodes; what SubmitJob said before the definition's."""
        return self.size.vcpus * (len(self.nodes) or 1)

    @property
    def size(self) -> Size:
        """What a machine must have room for."""
        asked = {requirement["type"]: float(requirement["value"]) for requirement in self.resource_requirements}
        return Size(
            asked.get("VCPU") or float(self._property("vcpus") or 1),
            asked.get("MEMORY") or float(self._property("memory") or 0),
            asked.get("GPU", 0),
        )

    @property
    def resource_requirements(self) -> list[dict[str, str]]:
        """VCPU, MEMORY and GPU, SubmitJob's before the definition's."""
        both = [*(self._definition.get("resourceRequirements") or []), *self._override("resourceRequirements", [])]
        return list({requirement["type"]: requirement for requirement in both}.values())

    @property
    def environment(self) -> dict[str, str]:
        """The variables of the definition and, going over them, of SubmitJob."""
        both = [*(self._definition.get("environment") or []), *self._override("environment", [])]
        return {variable["name"]: variable.get("value", "") for variable in both if variable.get("name")}

    @property
    def command(self) -> list[str]:
        """What is run; empty stands for the image's own program."""
        return self._add_parameters_to_command(list(self._property("command") or []))

    @property
    def image(self) -> str:
        """The definition's image."""
        return str(self._definition.get("image") or "")

    @property
    def log_configuration(self) -> dict[str, Any] | None:
        """The definition's `logConfiguration`; AWS Batch has no log of a pod."""
        return {"logDriver": "none"} if self._asked("eksProperties") else self._definition.get("logConfiguration")

    @property
    def secrets(self) -> list[dict[str, str]]:
        """The variables whose values are fetched, and where from."""
        return self._definition.get("secrets") or []

    @property
    def ulimits(self) -> dict[str, tuple[int, int]]:
        """Soft and hard limits of its processes, by name."""
        limits = self._definition.get("ulimits") or []
        return {limit["name"]: (limit["softLimit"], limit["hardLimit"]) for limit in limits}

    @property
    def stop_timeout(self) -> float | None:
        """Seconds between SIGTERM and SIGKILL; None if it does not say."""
        return self._definition.get("stopTimeout")

    @property
    def attempt(self) -> int:
        """The number of the attempt that runs, or of the next one."""
        return len(self.attempts) + 1

    @property
    def service_variables(self) -> dict[str, str]:
        """What Batch sets beyond what it sets for every job."""
        if self.parent_job is None:
            return {}
        return {
            "AWS_BATCH_JOB_ARRAY_INDEX": str(self.array_properties["index"]),
            "AWS_BATCH_JOB_ARRAY_SIZE": str(len(self.parent_job.children)),
        }

    @property
    def attempt_seconds(self) -> int | None:
        """How long an attempt may take; None without limit."""
        return (self.timeout or self.job_definition.timeout or {}).get("attemptDurationSeconds")

    def start(self) -> None:
        """Does nothing, where moto would start a thread: the scheduler decides."""

    def begin_attempt(self, task_arn: str, instance_arn: str) -> None:
        """Notes where the next attempt is placed."""
        self.status_reason = None
        self._attempt_started_at = None
        self._task = {"taskArn": task_arn, "containerInstanceArn": instance_arn}

    def begin_running(self, process: Stoppable, log_stream: str | None) -> None:
        """Notes that the attempt's program runs, and where its output goes."""
        self.process = process
        self.status = JobStatus.RUNNING
        self.started_at = self._attempt_started_at = now()
        if log_stream:
            self._task["logStreamName"] = log_stream

    def end_attempt(self, outcome: Outcome) -> None:
        """Notes how the attempt ended."""
        self.process = None
        if outcome.exit_code is not None:
            self._task["exitCode"] = outcome.exit_code
        if outcome.container_reason:
            self._task["reason"] = outcome.container_reason
        attempt = {
            "container": {**self._task, "networkInterfaces": []},
            "startedAt": self._attempt_started_at,
            "stoppedAt": now(),
            "statusReason": outcome.status_reason,
        }
        self.attempts.append(_without_none(attempt))
        self.status_reason = outcome.status_reason

    def end(self, succeeded: bool, reason: str | None) -> None:
        """Notes that the job is over."""
        self.status = JobStatus.SUCCEEDED if succeeded else JobStatus.FAILED
        self.status_reason = reason
        self.stopped_at = now()
        for node in self.nodes:
            if not self.attempts and node.status not in ENDED:  # it has never begun
                node.end(succeeded, reason)

    def terminate(self, reason: str) -> None:
        """Ends the job: what TerminateJob does, and CancelJob to a job that has not started."""
        type(self).terminator(self, reason)

    def describe_short(self) -> dict[str, Any]:
        """Returns what ListJobs says of the job."""
        result: dict[str, Any] = {
            "jobArn": self.arn,
            "jobId": self.job_id,
            "jobName": self.job_name,
            "createdAt": self.created_at,
            "status": self.status,
            "statusReason": self.status_reason,
            "startedAt": self.started_at,
            "stoppedAt": self.stopped_at,
            "jobDefinition": self.job_definition.arn,
            "container": {key: self._task[key] for key in ("exitCode", "reason") if key in self._task} or None,
        }
        if self.children:
            result["arrayProperties"] = {"size": len(self.children)}
        elif self.parent_job:
            result["arrayProperties"] = {"index": self.array_properties["index"]}
        if self.nodes:
            result["nodeProperties"] = {"numNodes": len(self.nodes)}
        return _without_none(result)

    def describe(self) -> dict[str, Any]:
        """Returns what DescribeJobs says of the job."""
        result = {
            **self.describe_short(),
            "jobQueue": self.job_queue.arn,
            "attempts": list(self.attempts),
            "dependsOn": self.depends_on or [],
            "parameters": self.parameters,
            "retryStrategy": self.retry_strategy,
            "timeout": self.timeout or self.job_definition.timeout,
            "tags": self.backend.list_tags_for_resource(self.arn),
            "propagateTags": self.propagate_tags,
            "platformCapabilities": self.job_definition.platform_capabilities or [],
            "isCancelled": self.is_cancelled,
            "isTerminated": self.end_reason is not None and not self.is_cancelled,
            "container": self._describe_container(),
        }
        if pod := self._asked("eksProperties"):
            namespace = eks_configuration(self.job_queue.environments[0]).get("kubernetesNamespace", "")
            result["eksProperties"] = eks_pod.described(pod, result.pop("container"), namespace)
            result["eksAttempts"] = [eks_pod.described_attempt(pod, attempt, namespace) for attempt in self.attempts]
            result["statusReason"] = eks_pod.status_reason(self.status_reason)
            del result["attempts"], result["platformCapabilities"], result["propagateTags"]
        if task := self._ecs_properties:
            result["ecsProperties"] = ecs_task.described(task, result.pop("container"))
            result["attempts"] = [ecs_task.described_attempt(task, attempt) for attempt in self.attempts]
        if properties := self._node_properties:
            result["nodeProperties"] = {**properties, "numNodes": len(self.nodes)}
            result = {name: value for name, value in result.items() if name not in ("container", "ecsProperties")}
        if self.consumables:
            needed = [{"consumableResource": name, "quantity": many} for name, many in self.consumables.items()]
            result["consumableResourceProperties"] = {"consumableResourceList": needed}
        if self.share:
            result.update(shareIdentifier=self.share, schedulingPriority=self.priority)
        if self.children:
            states = [child.status for child in self.children]
            result["arrayProperties"]["statusSummary"] = {state.value: states.count(state.value) for state in JobStatus}
        return _without_none(result)

    def summary(self) -> JobSummary:
        """Returns what a job table shows of the job."""
        reasons = [self.status_reason, self._task.get("reason")]
        return JobSummary(
            name=self.job_name,
            id=self.job_id,
            status=self.status,
            attempts=len(self.attempts),
            created_at=self.created_at,
            started_at=self.started_at,
            stopped_at=self.stopped_at,
            exit_code=self._task.get("exitCode"),
            reason=": ".join(reason for reason in reasons if reason),
            vcpus=self.vcpus,
        )

    @property
    def _definition(self) -> dict[str, Any]:
        return self.job_definition.container_properties or {}

    def _asked(self, name: str) -> dict[str, Any] | None:
        definition = self.job_definition
        return definition.asked.get(name) if isinstance(definition, LocalDefinition) else None

    @property
    def _ecs_properties(self) -> dict[str, Any] | None:
        return self.job_definition.ecs_properties if isinstance(self.job_definition, LocalDefinition) else None

    @property
    def _node_properties(self) -> dict[str, Any] | None:
        """Of a job that has nodes, and not of one of these."""
        return self._asked("nodeProperties") if self.nodes else None

    def _override(self, name: str, default: Any) -> Any:
        return self.container_overrides.get(name) or default

    def _property(self, name: str) -> Any:
        return self._override(name, self._definition.get(name))

    def _describe_container(self) -> dict[str, Any]:
        return _without_none(
            {
                **self._definition,
                **self._task,
                "command": self.command,
                "environment": [{"name": name, "value": value} for name, value in self.environment.items()],
                "resourceRequirements": self.resource_requirements,
                "vcpus": self._property("vcpus"),
                "memory": self._property("memory"),
                "instanceType": self._override("instanceType", self._definition.get("instanceType")),
                "networkInterfaces": [],
            }
        )


def now() -> int:
    """Returns the time in milliseconds since the epoch, as Batch counts it."""
    return int(time.time() * 1000)


def _without_none(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if value is not None}
