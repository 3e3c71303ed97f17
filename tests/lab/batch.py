"""AWS Batch: jobs."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from random import Random
from typing import Any

from . import endings, limits
from .body import crc32
from .clock import Clock
from .definitions import Definitions, page
from .endings import Ending
from .jobs import Durations, Job
from .messages import Reply, json_reply
from .queues import Queues
from .results import Result
from .routes import Asked
from .s3 import Objects
from .store import Store

Names = str | Callable[[str], bool]
"""Which jobs: a name, a pattern (`*`, `?`), or a function that is given the name."""

_TOO_LONG = "Container Overrides length must be at most 8192"


class Jobs:
    """Answers for jobs.

    Args:
        seed: For the jobs' ids.
        clock: Tells how far they have come.
        arn: Makes an ARN of the last part of one.
        definitions: Job definitions.
        queues: Job queues.
        store: Where jobs leave their results, through `objects`.
        objects: Makes what is kept of an object.
        durations: How long jobs take.
        result: What they leave.
        retention: Seconds after its end at which a job is forgotten.
        visible_after: Seconds after its submission at which DescribeJobs knows a job.
        listed_after: The same for ListJobs.
    """

    def __init__(  # noqa: PLR0913
        self,
        *,
        seed: int,
        clock: Clock,
        arn: Callable[[str], str],
        definitions: Definitions,
        queues: Queues,
        store: Store,
        objects: Objects,
        durations: Durations,
        result: Result,
        retention: float,
        visible_after: float,
        listed_after: float,
    ) -> None:
        self._random = Random(seed)
        self._clock = clock
        self._arn = arn
        self._definitions = definitions
        self._queues = queues
        self._store = store
        self._objects = objects
        self._durations = durations
        self._result = result
        self._retention = retention
        self._visible_after = visible_after
        self._listed_after = listed_after
        self._endings: list[tuple[Names, Ending]] = []
        self.jobs: dict[str, Job] = {}
        self._of_name: dict[str, list[Job]] = {}
        self._of_stem: dict[str, list[Job]] = {}
        self._unsettled: dict[str, Job] = {}

    # --- the service's operations ---

    def submit_job(self, asked: Asked) -> Reply:
        """Makes a job, whether there is one of this name or not."""
        wanted = asked.parameters
        limits.check_job(wanted, len(asked.request.body))
        queue = self._queues.check_open(wanted["jobQueue"], wanted.get("shareIdentifier", ""))
        definition = self._definitions.find(wanted["jobDefinition"])
        job_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        arns = {
            "jobQueue": queue,
            "jobDefinition": definition["jobDefinitionArn"],
            "jobArn": self._arn(f"job/{job_id}"),
        }
        job = Job(job_id, {**wanted, **arns}, definition, self._ending(wanted), self._durations, self._clock.now())
        if self._lacks_function(job.environment):
            job.follow(endings.function_missing(), self._durations, self._clock.now())
        self._keep(job)
        asked.facts["jobId"] = job_id
        return json_reply({"jobArn": arns["jobArn"], "jobName": job.name, "jobId": job_id})

    def describe_jobs(self, asked: Asked) -> Reply:
        """Tells about jobs; those that Batch does not know are left out."""
        ids: list[str] = asked.parameters.get("jobs") or []
        limits.check_described(ids)
        now = self._clock.now()
        found = []
        for name in ids:
            job = self.jobs.get(name.rpartition("/")[2])
            if job and now - job.created >= self._visible_after and not job.is_gone(now, self._retention):
                self._settle(job)
                found.append(job.entry(now, self._clock.date))
        return json_reply({"jobs": found})

    def list_jobs(self, asked: Asked) -> Reply:
        """Lists the jobs of a queue: by a filter in whatever state, else the running ones or those of `jobStatus`."""
        wanted, now = asked.parameters, self._clock.now()
        queue = self._queues.arn_of(wanted.get("jobQueue", ""))
        found = [
            job
            for job in self._listed(wanted, now)
            if job.asked["jobQueue"] == queue
            and now - job.created >= self._listed_after
            and not job.is_gone(now, self._retention)
        ]
        answer = page("jobSummaryList", found[::-1], wanted)
        summaries = [job.summary(now, self._clock.date) for job in answer["jobSummaryList"]]
        return json_reply({**answer, "jobSummaryList": summaries})

    def terminate_job(self, asked: Asked) -> Reply:
        """Ends a job in whatever state; one that is over, or not known, stays as it is."""
        limits.check_reason(asked.parameters)
        self._terminate(asked.parameters["jobId"], asked.parameters["reason"])
        return json_reply({})

    def terminate_jobs(self, asked: Asked) -> Reply:
        """The same for up to 50 jobs."""
        ids = asked.parameters.get("jobs")
        limits.check_terminated(ids)
        limits.check_reason(asked.parameters)
        for job_id in ids or ():
            self._terminate(job_id, asked.parameters["reason"])
        return json_reply({"successful": ids, "errors": []})

    def cancel_job(self, asked: Asked) -> Reply:
        """Ends a job that has not started; on others it does nothing, and does not say so."""
        limits.check_reason(asked.parameters)
        job = self.jobs.get(asked.parameters["jobId"])
        if job and job.status(self._clock.now()) in ("SUBMITTED", "PENDING", "RUNNABLE"):
            job.terminate(asked.parameters["reason"], self._clock.now())
        return json_reply({})

    def tag_resource(self, asked: Asked) -> Reply:
        """Adds tags to a job."""
        job = self.jobs.get(asked.parameters["resourceArn"].rpartition("/")[2])
        if job:
            job.asked = {**job.asked, "tags": {**(job.asked.get("tags") or {}), **asked.parameters.get("tags", {})}}
        return json_reply({})

    # --- what tests change and ask ---

    def choose(self, names: Names, ending: Ending) -> None:
        """Gives an ending to jobs of these names that are submitted from now on."""
        self._endings.insert(0, (names, ending))

    def end(self, names: Names, ending: Ending) -> int:
        """Gives an ending to jobs of these names, or ids, that are under way; returns how many there are."""
        now, count = self._clock.now(), 0
        for job in self.named(names):
            if job.ended_at() > now:
                job.follow(ending, Durations(), now)
                self._unsettled[job.id] = job
                count += 1
        return count

    def named(self, names: Names) -> list[Job]:
        """The jobs of these names; a name may be an id as well."""
        return [job for job in self.jobs.values() if _fits(names, job.name) or names == job.id]

    def look(self, key: str) -> None:
        """Has the jobs whose result belongs to this key leave it, if they are over."""
        for job in self._of_stem.get(_stem(key), ()):
            self._settle(job)

    def look_at_all(self) -> None:
        """Has all jobs that are over leave their results."""
        for job in list(self._unsettled.values()):
            self._settle(job)

    def _terminate(self, job_id: str, reason: str) -> None:
        job = self.jobs.get(job_id)
        if job:
            self._settle(job)
            job.terminate(reason, self._clock.now())

    def _keep(self, job: Job) -> None:
        self.jobs[job.id] = job
        self._of_name.setdefault(job.name.lower(), []).append(job)
        self._of_stem.setdefault(_stem(job.environment.get("RESULT_FILENAME", "")), []).append(job)
        self._unsettled[job.id] = job

    def _ending(self, wanted: dict[str, Any]) -> Ending:
        if limits.overrides_are_too_long(wanted):
            return endings.failed(_TOO_LONG)
        name = wanted["jobName"]
        return next((ending for names, ending in self._endings if _fits(names, name)), endings.succeed())

    def _lacks_function(self, environment: Mapping[str, str]) -> bool:
        """Whether the job was submitted before its function was there."""
        bucket = self._store.buckets.get(environment.get("S3_BUCKET_NAME", ""))
        key = environment.get("COVALENT_TASK_FUNC_FILENAME")
        return bucket is not None and key is not None and key not in bucket.objects

    def _settle(self, job: Job) -> None:
        if job.id not in self._unsettled:
            return
        now = self._clock.now()
        for container, result in job.leavings(now):
            self._leave(container.environment, (result or self._result)(container))
        if job.ended_at() <= now:
            del self._unsettled[job.id]

    def _leave(self, environment: Mapping[str, str], objects: Mapping[str, Any]) -> None:
        bucket = self._store.buckets.get(environment.get("S3_BUCKET_NAME", ""))
        if bucket is None or bucket.denied:
            return
        for key, left in objects.items():
            bucket.objects[key] = self._objects.stored(key, left.data, crc32(left.data), left.metadata, {})

    def _listed(self, wanted: dict[str, Any], now: float) -> Iterable[Job]:
        filters = wanted.get("filters")
        if not filters:
            status = wanted.get("jobStatus") or "RUNNING"
            return [job for job in self.jobs.values() if job.status(now) == status]
        if len(filters) != 1 or filters[0].get("name") != "JOB_NAME" or not filters[0].get("values"):
            raise limits.refused("The laboratory knows the filter JOB_NAME only")
        # The service takes the case of letters for nothing, and a final `*` for anything.
        name = filters[0]["values"][0].lower()
        if not name.endswith("*"):
            return self._of_name.get(name, ())
        return [job for job in self.jobs.values() if job.name.lower().startswith(name[:-1])]


def _fits(names: Names, name: str) -> bool:
    return names(name) if callable(names) else fnmatchcase(name, names)


def _stem(key: str) -> str:
    """What the names of a task's objects share."""
    return key.partition("-")[2].rpartition(".")[0]
