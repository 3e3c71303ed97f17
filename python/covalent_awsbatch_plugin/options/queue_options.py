"""The options that say how a job waits in its queue: in which share, before which other jobs, and for what else."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from . import limits, pairs
from .definition import option
from .job_options import JobOptions


def _priority(priority: int, info: ValidationInfo) -> int:
    if priority and info.data.get("share_identifier") == "":
        raise ValueError("there is no share_identifier, and AWS Batch has priorities within a share only")
    return priority


_CONSUMABLE = r"[A-Za-z0-9_-]{1,128}|arn:aws(?:-[a-z]+)*:batch:[a-z0-9-]+:\d{12}:consumable-resource/[A-Za-z0-9_-]+"
_MOST_CONSUMABLES = 5


def _consumables(value: Any) -> dict[str, int]:
    given = pairs.mapping(value)
    if len(given) > _MOST_CONSUMABLES:
        raise ValueError(f"there are {len(given)}")
    found = {}
    for name, quantity in given.items():
        if not isinstance(name, str) or not re.fullmatch(_CONSUMABLE, name):
            raise ValueError(f"{limits.shown(name)} is neither a name nor an ARN of one")
        found[name] = limits.whole(quantity)
        if found[name] < 1:
            raise ValueError(f"{name} is asked for {limits.shown(quantity)} times")
    return found


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
    consumable_resources: Annotated[dict[str, int], BeforeValidator(_consumables)] = option(
        {},
        rule="must be a dict of up to 5 consumable resources of AWS Batch, by name or ARN, and how many of each a job "
        "needs, 1 or more",
        doc='What a job needs of consumable resources of AWS Batch, such as licences, by name or ARN: `{"licence": 1}`'
        "; 5 at most. It waits in the queue until all of it is there, and has it until it has ended.",
    )
