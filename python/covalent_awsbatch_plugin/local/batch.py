"""Extends moto's AWS Batch: jobs that really run, limits, pagination, and fields that moto drops."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import moto.batch.models
import moto.batch.urls
from moto.batch.exceptions import ClientException
from moto.batch.utils import JobStatus

from . import ecs_task, eks_pod, node_properties
from .api import api_lock, patched_responses
from .compute_environment import EnvironmentResponse
from .consumable_calls import PATHS
from .consumables import wanted
from .definition import LocalDefinition
from .job import WAITING, LocalJob
from .node import LocalNode, give_nodes
from .platforms import platform
from .scheduler import Scheduler
from .validation import (
    check_container,
    check_fargate,
    check_fields,
    check_managed_instances,
    check_mounts,
    check_platform,
    check_retry_strategy,
    check_share,
    check_submission,
    check_timeout,
)

# https://docs.aws.amazon.com/batch/latest/APIReference/API_DescribeJobs.html, …_ListJobs.html, …_TerminateJobs.html
_MAX_DESCRIBED_JOBS = 100
_MAX_TERMINATED_JOBS = 50
_MAX_PAGE_SIZE = 100
_MAX_REASON_CHARS = 1024
_MAX_CONSUMABLES = 5
# Where it is called, as moto, which lacks it, writes that.
_TERMINATE_JOBS = "{0}/v1/terminatejobs$"
# By what the definition has.
_OVERRIDES = {
    "ecsProperties": "ecsPropertiesOverride",
    "eksProperties": "eksPropertiesOverride",
    "nodeProperties": "nodeOverrides",
}


class LocalBatchResponse(EnvironmentResponse):
    """Answers Batch's calls one at a time, with moto where it is correct."""

    shortest_timeout: ClassVar[int]
    """Seconds that a time limit must have at least."""

    def call_action(self) -> Any:
        """Answers one call."""
        with api_lock:
            return super().call_action()

    def registerjobdefinition(self) -> str:
        """Registers a revision with the requested fields: moto would keep some of the previous revision."""
        asked = json.loads(self.body)
        check_fields("RegisterJobDefinition", asked)
        node_properties.check_definition(asked)
        # Moto does not know the one, and does not run the other.
        if "ecsProperties" in asked:
            self.body = json.dumps({**asked, "containerProperties": ecs_task.as_container(asked["ecsProperties"])})
        elif "eksProperties" in asked:
            eks_pod.check(asked)
            rest = {name: value for name, value in asked.items() if name != "eksProperties"}
            self.body = json.dumps({**rest, "containerProperties": eks_pod.as_container(asked["eksProperties"])})
        elif "nodeProperties" in asked:
            container = node_properties.as_container(asked["nodeProperties"])
            self.body = json.dumps({**asked, "containerProperties": container})
        container = self._get_param("containerProperties") or {}
        check_container(container)
        check_mounts(container)
        self._check_consumables(_consumables(asked))
        if "MANAGED_INSTANCES" in (self._get_param("platformCapabilities") or []):
            check_managed_instances(asked)
        if "FARGATE" in (self._get_param("platformCapabilities") or []):
            check_fargate(container, container.get("resourceRequirements") or [])
        check_retry_strategy(self._get_param("retryStrategy"))
        check_timeout(self._get_param("timeout"), self.shortest_timeout)
        answer = super().registerjobdefinition()
        definition = self.batch_backend.get_job_definition_by_arn(json.loads(answer)["jobDefinitionArn"])
        assert isinstance(definition, LocalDefinition)
        definition.asked = asked
        definition.platform_capabilities = self._get_param("platformCapabilities")
        definition.propagate_tags = self._get_param("propagateTags")
        definition.parameters = self._get_param("parameters") or {}
        strategy = self._get_param("retryStrategy")
        definition.retry_strategy = strategy and _lower_actions(strategy)
        return answer

    def describejobdefinitions(self) -> str:
        """Describes job definitions, a page at a time and also by `name:revision`."""
        backend = self.batch_backend
        wanted = self._get_param("jobDefinitions")
        if wanted:
            found = [backend.get_job_definition(one) if ":" in one else one for one in wanted]
            wanted = [one.arn if isinstance(one, LocalDefinition) else one for one in found if one is not None]
        definitions = (
            []
            if wanted == []
            else backend.describe_job_definitions(
                self._get_param("jobDefinitionName"), wanted or None, self._get_param("status")
            )
        )
        return self._page("jobDefinitions", [definition.describe() for definition in definitions])

    def submitjob(self) -> str:
        """Submits a job, with its retry strategy, and has it placed."""
        check_submission(json.loads(self.body))
        check_timeout(self._get_param("timeout"), self.shortest_timeout)
        definition = self._active_definition(self._get_param("jobDefinition"))
        if definition.container_properties is None:
            raise ClientException("The embedded AWS runs jobs of one container only")
        overrides, consumables = self._overrides(definition)
        self._check_consumables(consumables)
        nodes = definition.asked.get("nodeProperties")
        count = node_properties.count(nodes, self._get_param("nodeOverrides") or {}) if nodes else 1
        queue = self.batch_backend.get_job_queue(self._get_param("jobQueue"))
        if queue is not None and queue.state == "DISABLED":
            raise ClientException(f"Job Queue {queue.arn} is DISABLED; it accepts no jobs.")
        if queue is not None:
            check_platform(definition.platforms, {platform(one) for one in queue.environments})
            priorities = [self._get_param("schedulingPriorityOverride"), definition.scheduling_priority]
            check_share(queue.schedule_policy, self._get_param("shareIdentifier"), priorities)
        if "FARGATE" in (definition.platform_capabilities or []):
            own = definition.container_properties.get("resourceRequirements") or []
            check_fargate(definition.container_properties, own + (overrides.get("resourceRequirements") or []))
        for dependency in self._get_param("dependsOn") or []:
            if dependency.get("jobId") and self.batch_backend.get_job_by_id(dependency["jobId"]) is None:
                raise ClientException(f"Job {dependency['jobId']} does not exist")
        name, job_id, arn = self.batch_backend.submit_job(
            self._get_param("jobName"),
            definition.arn,
            self._get_param("jobQueue"),
            array_properties=self._get_param("arrayProperties") or {},
            depends_on=self._get_param("dependsOn"),
            container_overrides=overrides,
            eks_properties_override=None,
            timeout=self._get_param("timeout"),
            parameters=self._get_param("parameters"),
            tags=self._get_param("tags"),
        )
        job = self.batch_backend.get_job_by_id(job_id)
        assert isinstance(job, LocalJob)
        if nodes:
            give_nodes(job, count, nodes["mainNode"])
        strategy = self._get_param("retryStrategy") or definition.retry_strategy
        propagate = self._get_param("propagateTags")
        needed = {**wanted(_consumables(definition.asked)), **wanted(consumables)}
        for one in [job, *job.children, *job.nodes]:
            if strategy:
                one.retry_strategy = {"attempts": 1, "evaluateOnExit": [], **_lower_actions(strategy)}
            one.propagate_tags = bool(definition.propagate_tags if propagate is None else propagate)
            one.consumables = {name: quantity * count for name, quantity in needed.items()}
            one.share = self._get_param("shareIdentifier") or ""
            one.priority = self._get_param("schedulingPriorityOverride") or definition.scheduling_priority or 0
        self.scheduler.submit(job)
        return json.dumps({"jobId": job_id, "jobName": name, "jobArn": arn})

    def describejobs(self) -> str:
        """Describes the requested jobs that exist; moto would describe all jobs for an empty list."""
        wanted = self._get_param("jobs") or []
        if len(wanted) > _MAX_DESCRIBED_JOBS:
            raise ClientException(f"jobs must contain at most {_MAX_DESCRIBED_JOBS} job ids, not {len(wanted)}")
        ids = dict.fromkeys(one.rpartition(":job/")[2] for one in wanted)
        jobs = [self.batch_backend.get_job_by_id(one) for one in ids]
        return json.dumps({"jobs": [job.describe() for job in jobs if job is not None]})

    def listjobs(self) -> str:
        """Lists jobs a page at a time; without a filter the status is RUNNING unless another is given."""
        array, filters = self._get_param("arrayJobId"), self._get_param("filters")
        parent = self.batch_backend.get_job_by_id(self._get_param("multiNodeJobId") or "")
        status = self._get_param("jobStatus") or JobStatus.RUNNING.value
        jobs = self.batch_backend.list_jobs(self._get_param("jobQueue"), array, None if filters else status, filters)
        if isinstance(parent, LocalJob):
            jobs = [node for node in parent.nodes if node.status == status]
        # A queue's list shows an array, or a job of several nodes, as one job; the others are listed by its id.
        shown = [job for job in jobs if array or parent or not _is_part(job)]
        return self._page("jobSummaryList", [job.describe_short() for job in shown])

    def terminatejob(self) -> str:
        """Ends a job in any state."""
        self._check_reason()
        return super().terminatejob()

    def terminatejobs(self) -> str:
        """Ends jobs in any state; those that do not exist count as ended."""
        check_fields("TerminateJobs", json.loads(self.body))
        self._check_reason()
        wanted = self._get_param("jobs")
        if not 1 <= len(wanted) <= _MAX_TERMINATED_JOBS:
            raise ClientException(f"jobs must contain 1 to {_MAX_TERMINATED_JOBS} job ids, not {len(wanted)}")
        for job in filter(None, map(self.batch_backend.get_job_by_id, wanted)):
            job.terminate(self._get_param("reason"))
        return json.dumps({"successful": wanted, "errors": []})

    def canceljob(self) -> str:
        """Ends a job that has not started; silently does nothing to others."""
        self._check_reason()
        job = self.batch_backend.get_job_by_id(self._get_param("jobId") or "")
        if isinstance(job, LocalJob):
            for one in job.children or [job]:
                if one.status in WAITING:
                    self.scheduler.terminate(one, self._get_param("reason"), cancelled=True)
        return ""

    def updatecomputeenvironment(self) -> str:
        """Changes a compute environment, after which waiting jobs may fit."""
        answer = super().updatecomputeenvironment()
        self.scheduler.place()
        return answer

    def updatejobqueue(self) -> str:
        """Changes a queue, after which waiting jobs may fit."""
        answer = super().updatejobqueue()
        self.scheduler.place()
        return answer

    def _active_definition(self, identifier: str) -> LocalDefinition:
        """Finds a definition by ARN, by `name:revision`, or the newest active one by name."""
        found: Sequence[object]
        if ":" in identifier:
            found = [self.batch_backend.get_job_definition(identifier)]
        else:
            found = self.batch_backend.get_job_definitions(identifier)
        active = [one for one in found if isinstance(one, LocalDefinition) and one.status == "ACTIVE"]
        if not active:
            raise ClientException(f"Job definition {identifier} does not exist or is not active")
        return max(active, key=lambda one: one.revision)

    def _overrides(self, definition: LocalDefinition) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """What SubmitJob overrides of the container, and of consumable resources.

        Raises:
            ClientException: It is written for another kind of definition.
        """
        asked = json.loads(self.body)
        right = next((name for kind, name in _OVERRIDES.items() if kind in definition.asked), "containerOverrides")
        names = {*_OVERRIDES.values(), "containerOverrides"} - {right}
        if wrong := sorted(name for name in names if asked.get(name)):
            raise ClientException(f"{wrong[0]} must not be specified for this job definition, which takes {right}")
        if right == "eksPropertiesOverride" and asked.get("propagateTags") is not None:
            raise ClientException("propagateTags must not be specified for jobs on Amazon EKS")
        if nodes := definition.asked.get("nodeProperties"):
            if asked.get("arrayProperties"):
                raise ClientException("arrayProperties must not be specified for multi-node parallel jobs")
            asked = node_properties.only_override(nodes, asked.get("nodeOverrides") or {})
        consumables = asked.get("consumableResourcePropertiesOverride")
        if task := asked.get("ecsPropertiesOverride"):
            return ecs_task.only_container(task), consumables
        if pod := asked.get("eksPropertiesOverride"):
            return eks_pod.as_container(pod), consumables
        return asked.get("containerOverrides") or {}, consumables

    def _check_consumables(self, properties: dict[str, Any] | None) -> None:
        asked = wanted(properties)
        if len(asked) > _MAX_CONSUMABLES:
            raise ClientException(f"A job can have at most {_MAX_CONSUMABLES} consumable resources, not {len(asked)}")
        self.scheduler.consumables.check(asked)

    def _check_reason(self) -> None:
        reason = self._get_param("reason")
        if not reason or len(reason) > _MAX_REASON_CHARS:
            raise ClientException(f"reason must have 1 to {_MAX_REASON_CHARS} characters")

    def _page(self, name: str, items: list[dict[str, Any]]) -> str:
        size = self._get_param("maxResults") or _MAX_PAGE_SIZE
        if not 1 <= int(size) <= _MAX_PAGE_SIZE:
            raise ClientException(f"maxResults must be between 1 and {_MAX_PAGE_SIZE}")
        token = self._get_param("nextToken") or "0"
        if not token.isdecimal():
            raise ClientException("nextToken is invalid")
        end = int(token) + int(size)
        answer: dict[str, Any] = {name: items[int(token) : end]}
        if end < len(items):
            answer["nextToken"] = str(end)
        return json.dumps(answer)


@contextmanager
def patched_batch(scheduler: Scheduler, shortest_timeout: int) -> Iterator[None]:
    """Has moto's Batch run jobs through a scheduler while the `with` block runs.

    Args:
        scheduler: Places the jobs.
        shortest_timeout: Seconds that a time limit must have at least.
    """
    original = moto.batch.models.Job, moto.batch.models.JobDefinition
    LocalBatchResponse.scheduler, LocalJob.terminator = scheduler, scheduler.terminate
    LocalBatchResponse.shortest_timeout = shortest_timeout
    # Moto's `submit_job` creates jobs of this class, and starts each as a thread.
    moto.batch.models.Job = LocalJob  # type: ignore[misc]
    moto.batch.models.JobDefinition = LocalDefinition  # type: ignore[misc]
    try:
        with patched_responses(moto.batch.urls, LocalBatchResponse, (*PATHS, _TERMINATE_JOBS)):
            yield
    finally:
        moto.batch.models.Job, moto.batch.models.JobDefinition = original  # type: ignore[misc]


def _consumables(definition: dict[str, Any]) -> dict[str, Any] | None:
    """What a definition says of consumable resources, for the job or for each of its nodes."""
    nodes = definition.get("nodeProperties")
    return (node_properties.only_range(nodes) if nodes else definition).get("consumableResourceProperties")


def _is_part(job: object) -> bool:
    """Whether it is a child of an array, or a node."""
    return isinstance(job, LocalNode) or (isinstance(job, LocalJob) and job.parent_job is not None)


def _lower_actions(strategy: dict[str, Any]) -> dict[str, Any]:
    """The service answers with actions in lower case, whatever case they came in."""
    rules = [{**rule, "action": rule["action"].lower()} for rule in strategy.get("evaluateOnExit") or []]
    return {**strategy, **({"evaluateOnExit": rules} if rules else {})}
