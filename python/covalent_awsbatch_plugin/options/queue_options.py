"""The options that say how a job waits in its queue: which share of the queue it takes, and before which other jobs."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, ValidationInfo

from . import limits
from .definition import option
from .job_options import JobOptions


def _priority(priority: int, info: ValidationInfo) -> int:
    if priority and info.data.get("share_identifier") == "":
        raise ValueError("there is no share_identifier, and AWS Batch has priorities within a share only")
    return priority


class QueueOptions(JobOptions):
    """They follow those of the job, which they are checked against."""

    share_identifier: Annotated[str, limits.matching(r"|[A-Za-z0-9]{1,255}\*?")] = option(
        "",
        rule="must be up to 255 letters and digits, the share that the job takes of a queue with a scheduling policy; "
        "empty for a queue without one",
        doc="Share of a queue with a fair-share scheduling policy, up to 255 letters and digits: a team, a user, a "
        "project. Such a queue takes no job without one, and any other queue no job with one.",
        command_line=True,
    )
    scheduling_priority: Annotated[limits.Whole, AfterValidator(_priority)] = option(
        0,
        ge=0,
        le=9999,
        rule="must be a whole number from 0 to 9,999; jobs with a higher one go first within their share_identifier",
        doc="Priority of a job among those of the same `share_identifier`, 0 to 9,999; higher ones go first.",
    )
