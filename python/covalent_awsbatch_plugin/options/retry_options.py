"""The options of a task's next job: with more memory, or in another queue. AWS Batch tries a job again as it is."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from . import limits
from .definition import option
from .queue_options import QueueOptions

_LARGEST_FACTOR = 16


def _queues(value: Any) -> str | list[str]:
    return limits.texts(value, limits.QUEUE)


def _once(queues: str | list[str], info: ValidationInfo) -> str | list[str]:
    # By its queue it is known which job of its task a job is.
    names = [queue.rpartition("/")[2] for queue in (info.data.get("batch_queue") or "", *queues)]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{twice[0]} is there twice, or is batch_queue")
    return queues


class RetryOptions(QueueOptions):
    """They follow those of the queue, which they are checked against."""

    retry_memory_factor: limits.Number = option(
        1,
        ge=1,
        le=_LARGEST_FACTOR,
        rule=f"must be a number from 1 (no growth) to {_LARGEST_FACTOR}: what a job that took more than its memory has "
        "times as much of, when it is tried again",
        doc="How many times as much memory the next attempt has after one that took more than it had, 1 (no growth) to "
        f"{_LARGEST_FACTOR}: on Fargate the next size that goes with `vcpu`, and no more than the queue's machines "
        "hold, where their types tell. `retry_attempts` counts all attempts.",
    )
    retry_queues: Annotated[str | list[str], BeforeValidator(_queues), AfterValidator(_once)] = option(
        "",
        rule="must be a list of job queues, by name or ARN, or a text with commas between them; each once, and without "
        "batch_queue",
        doc='Job queues for the attempts after a lost machine, one after the other: `["on-demand"]` where '
        "`batch_queue` has spot machines. The last one is kept. `retry_attempts` counts all attempts.",
        command_line=True,
    )
    spot_notice: limits.Flag = option(
        False,
        rule="must be True (the function has word of it two minutes before EC2 takes its machine back) or False",
        doc="Whether the runner asks EC2 every 5 seconds if its spot machine is to be taken back, which is announced "
        "two minutes before, and passes that on to the function (`from covalent_awsbatch_plugin import interruption`, "
        "`interruption.on_notice()`); a checkpoint is stored then, too. It needs this package in the container. On "
        "Fargate, SIGTERM is the word, with or without it.",
    )
