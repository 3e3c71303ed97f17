"""What can go wrong between a client and AWS, and when.

Each function makes a fault; beside its own arguments it takes those of `When`, by name. Of several faults that answer
in place of the service or break the answer, one happens at most: rates add up (20 % throttled, 10 % errors: 70 % are
well), and what comes first in the list comes first. Latency and drips come on top of everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class When:
    """Which calls a fault strikes: all that satisfy everything that is given.

    Attributes:
        at: Numbers of the calls, from 1.
        between: First and last number.
        rate: Share of the calls, by seed.
        times: Strikes so often and then no more.
        where: Patterns (`*`, `?`) by the name of a fact of the call, such as `Key`, `PartNumber`, `jobName`,
            `accessKey`. With it, numbers count the calls that fit.
        after: Seconds of the laboratory's clock since the faults were set.
        until: The same, for the end.
    """

    at: tuple[int, ...] = ()
    between: tuple[int, int] | None = None
    rate: float = 1.0
    times: int | None = None
    where: Mapping[str, str] = field(default_factory=dict)
    after: float = 0.0
    until: float = float("inf")


@dataclass(frozen=True)
class Fault:
    """What happens to the calls of an operation.

    Attributes:
        kind: Its name in the record of calls.
        operation: `SubmitJob`, `s3:GetObject`, or a pattern such as `batch:*`.
        when: Which of its calls.
        acts: Whether the service does what it was asked for, before it goes wrong.
        code: Error in place of the answer; empty for none. `*` for what the service calls this kind.
        message: What the service says with it.
        status: HTTP status with it.
        drop: The connection is reset.
        hang: There is no answer.
        keep: Share of the answer's body that arrives.
        flip: One bit of the body is changed.
        delay: Seconds before the answer.
        jitter: Up to so many seconds more, by seed.
        piece: Bytes of the body at once.
        pause: Seconds between two pieces.
        per_second: Calls that are let through; the rest is throttled.
        burst: As many at once.
        skew: Seconds that the service's clock is ahead of the client's.
    """

    kind: str
    operation: str = "*"
    when: When = When()
    acts: bool = False
    code: str = ""
    message: str = ""
    status: int = 400
    drop: bool = False
    hang: bool = False
    keep: float | None = None
    flip: bool = False
    delay: float = 0.0
    jitter: float = 0.0
    piece: int = 0
    pause: float = 0.0
    per_second: float = 0.0
    burst: float = 0.0
    skew: float = 0.0

    @property
    def is_slowness(self) -> bool:
        """Whether it comes on top of other faults."""
        return bool(self.delay or self.jitter or self.piece)


def refuse(operation: str, code: str, message: str = "", status: int = 400, **when: Any) -> Fault:
    """The service answers with an error."""
    return Fault("refuse", operation, When(**when), code=code, message=message, status=status)


def throttle(operation: str = "*", **when: Any) -> Fault:
    """Too many requests, in the words of the service: a 429 of Batch, a SlowDown of S3."""
    return Fault("throttle", operation, When(**when), code="*")


def error(operation: str = "*", status: int = 500, acts: bool = False, **when: Any) -> Fault:
    """The service fails (5xx), before or after it acted."""
    return Fault("error", operation, When(**when), acts=acts, code="*", status=status)


def drop(operation: str = "*", acts: bool = False, **when: Any) -> Fault:
    """The connection is reset in place of an answer, before or after the service acted."""
    return Fault("drop", operation, When(**when), acts=acts, drop=True)


def hang(operation: str = "*", acts: bool = False, **when: Any) -> Fault:
    """There is no answer; the client's time-out has to end it."""
    return Fault("hang", operation, When(**when), acts=acts, hang=True)


def truncate(operation: str = "GetObject", keep: float = 0.5, **when: Any) -> Fault:
    """The connection ends after a share of the body."""
    return Fault("truncate", operation, When(**when), acts=True, keep=keep)


def corrupt(operation: str = "GetObject", **when: Any) -> Fault:
    """One bit of the body is changed on its way."""
    return Fault("corrupt", operation, When(**when), acts=True, flip=True)


def latency(seconds: float, jitter: float = 0.0, operation: str = "*", **when: Any) -> Fault:
    """The service acts at once and answers later."""
    return Fault("latency", operation, When(**when), acts=True, delay=seconds, jitter=jitter)


def drip(piece: int, pause: float, operation: str = "GetObject", **when: Any) -> Fault:
    """The body arrives slowly, `piece` bytes each `pause` seconds."""
    return Fault("drip", operation, When(**when), acts=True, piece=piece, pause=pause)


def denied(operation: str, **when: Any) -> Fault:
    """The caller lacks the right to do this."""
    return Fault("denied", operation, When(**when), code="*", status=403)


def expired(operation: str = "*", **when: Any) -> Fault:
    """The session token has expired; `where={"accessKey": …}` for those of certain credentials."""
    return Fault("expired", operation, When(**when), code="*")


def skewed(seconds: float, operation: str = "*", **when: Any) -> Fault:
    """The service's clock is so far ahead, as its answers say; it refuses what is signed 5 minutes (S3: 15) off."""
    return Fault("skewed", operation, When(**when), code="*", status=403, skew=seconds)


def limit(per_second: float = 50.0, burst: float = 0.0, operation: str = "batch:*", **when: Any) -> Fault:
    """The account's request limit: a bucket of `burst` tokens (as many as a second's, by default) that refills."""
    return Fault("limit", operation, When(**when), code="*", per_second=per_second, burst=burst or per_second)


def transient() -> list[Fault]:
    """About one call in six goes wrong.

    What fails six times in a row is an outage and no transient fault, and so is a body that breaks off four times: the
    rates are such that this happens once in some hundred thousand calls.
    """
    return [
        throttle("batch:*", rate=0.08),
        throttle("s3:*", rate=0.03),
        error(rate=0.03),
        error(acts=True, rate=0.02),
        drop(rate=0.02),
        drop(acts=True, rate=0.02),
        truncate("batch:*", rate=0.02),
        truncate("s3:GetObject", rate=0.02),
    ]
