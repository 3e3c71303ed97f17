"""The outcome of an attempt, and whether Batch retries it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        exit_code: Of the job's program; None when there was none, or nobody saw it.
        status_reason: What Batch says of the attempt.
        container_reason: What the container's host adds; None mostly.
        final: Never retried, regardless of the strategy: it was terminated or has timed out.
    """

    exit_code: int | None
    status_reason: str
    container_reason: str | None = None
    final: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether the program ended by itself and well."""
        return self.exit_code == 0 and not self.final


def is_retried(outcome: Outcome, attempts: int, strategy: Mapping[str, Any]) -> bool:
    """Whether Batch makes another attempt.

    The first rule decides whose conditions are all met; when there is none, Batch retries
    (https://docs.aws.amazon.com/batch/latest/APIReference/API_EvaluateOnExit.html).

    Args:
        outcome: How the newest attempt ended.
        attempts: How many attempts there have been, with that one.
        strategy: Batch's `retryStrategy`.
    """
    if outcome.succeeded or outcome.final or attempts >= int(strategy.get("attempts") or 1):
        return False
    for rule in strategy.get("evaluateOnExit") or []:
        if _meets(rule, outcome):
            return bool(rule["action"].upper() == "RETRY")
    return True


def _meets(rule: Mapping[str, str], outcome: Outcome) -> bool:
    conditions = [
        (rule.get("onStatusReason"), outcome.status_reason),
        (rule.get("onReason"), outcome.container_reason or ""),
        (rule.get("onExitCode"), "" if outcome.exit_code is None else str(outcome.exit_code)),
    ]
    return all(pattern is None or _matches(pattern, value) for pattern, value in conditions)


def _matches(pattern: str, value: str) -> bool:
    """Compares without regard to case; only a `*` at the end stands for anything, also for nothing."""
    pattern, value = pattern.lower(), value.lower()
    return value.startswith(pattern[:-1]) if pattern.endswith("*") else value == pattern
