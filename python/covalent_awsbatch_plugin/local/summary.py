"""What a job table shows of a job."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class JobSummary:
    """The current state of one job.

    Attributes:
        name: The job's name.
        id: The job's id, as SubmitJob answered it.
        status: SUBMITTED, PENDING, RUNNABLE, STARTING, RUNNING, SUCCEEDED or FAILED.
        attempts: How many attempts have ended.
        created_at: When it was submitted, in milliseconds since the epoch, like everything DescribeJobs says of time.
        started_at: When its newest attempt began to run, in milliseconds; None before that.
        stopped_at: When it ended, in milliseconds; None before that.
        exit_code: Of the newest attempt, once it has ended; None is neither success nor failure.
        reason: `statusReason`, followed by the container's own reason where there is one; empty when there is none.
        vcpus: How many vCPUs it takes of the compute environment.
    """

    name: str
    id: str
    status: str
    attempts: int
    created_at: int
    started_at: int | None
    stopped_at: int | None
    exit_code: int | None
    reason: str
    vcpus: float
