"""The order of jobs in a queue with a fair-share scheduling policy.

https://docs.aws.amazon.com/batch/latest/userguide/job_scheduling.html. What ran earlier does not count here, and
nothing is reserved for shares that are not there yet (`shareDecaySeconds`, `computeReservation`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .job import LocalJob

LARGEST_PRIORITY = 9999
"""Of a job within its share; the smallest is 0."""


def ordered(waiting: Sequence[LocalJob], running: Collection[LocalJob]) -> list[LocalJob]:
    """The jobs in the order in which they are to be placed.

    Args:
        waiting: Jobs of all queues, in the order that they have without shares.
        running: Jobs that use vCPUs now.

    Returns:
        The same jobs. Those of a queue with a policy have changed places among themselves.
    """
    found = list(waiting)
    for queue in {job.job_queue.arn: job.job_queue for job in waiting if job.job_queue.schedule_policy}.values():
        places = [place for place, job in enumerate(found) if job.job_queue is queue]
        jobs = _by_share([found[place] for place in places], [job for job in running if job.job_queue is queue])
        for place, job in zip(places, jobs, strict=True):
            found[place] = job
    return found


def _by_share(waiting: list[LocalJob], running: Iterable[LocalJob]) -> Iterable[LocalJob]:
    """Takes from the share that uses least for its weight, and within it the job of the highest priority."""
    used: defaultdict[str, float] = defaultdict(float)
    for job in running:
        used[job.share] += job.vcpus * _weight(job)
    left = sorted(waiting, key=lambda job: (-job.priority, job.number))
    while left:
        job = min(left, key=lambda job: used[job.share])
        left.remove(job)
        used[job.share] += job.vcpus * _weight(job)
        yield job


def _weight(job: LocalJob) -> float:
    """Of the job's share; a lower weight gets more."""
    policies = job.backend.describe_scheduling_policies([job.job_queue.schedule_policy or ""])
    entries: Any = policies[0].fairshare_policy["shareDistribution"] if policies else []
    for entry in entries:
        name = str(entry["shareIdentifier"])
        if name == job.share or (name.endswith("*") and job.share.startswith(name[:-1])):
            return float(entry.get("weightFactor", 1))
    return 1.0
