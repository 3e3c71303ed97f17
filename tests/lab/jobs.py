"""A job: what was asked for and what becomes of it, worked out beforehand and told by the clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .endings import FOR_EVER, TIMED_OUT, Ending, Try, out_of_memory, spot_reclaim
from .results import Container, Result, nothing

NEVER = float("inf")


@dataclass
class Run:
    """One attempt, as it happens.

    Attributes:
        number: From 1.
        told: Whether it has left its result.
    """

    number: int
    attempt: Try
    start: float
    end: float
    told: bool = False


@dataclass(frozen=True)
class Durations:
    """How long jobs take.

    Attributes:
        wait: Seconds from the submission to the first attempt.
        seconds: Of an attempt.
    """

    wait: float = 0.0
    seconds: float = 0.0


class Job:
    """A job.

    Args:
        id: Its id.
        asked: What was submitted, as SubmitJob has it, with ARNs for queue and definition.
        definition: Its revision of the job definition.
        ending: What becomes of it.
        durations: How long it takes.
        now: When it was submitted.
    """

    __slots__ = (
        "asked",
        "created",
        "definition",
        "ending",
        "id",
        "is_forgotten",
        "is_terminated",
        "phases",
        "reason",
        "runs",
    )

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        id: str,  # noqa: A002
        asked: Mapping[str, Any],
        definition: Mapping[str, Any],
        ending: Ending,
        durations: Durations,
        now: float,
    ) -> None:
        self.id = id
        self.asked = asked
        self.definition = definition
        self.created = now
        self.is_terminated = False
        self.is_forgotten = False
        self.runs: list[Run] = []
        self.phases: list[tuple[float, str]] = [(now, "SUBMITTED")]
        self.follow(ending, durations, now)

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.asked["jobName"])

    @property
    def environment(self) -> dict[str, str]:
        """The variables of its container."""
        entries = [*self._properties.get("environment", ()), *self._overrides.get("environment", ())]
        return {entry["name"]: entry["value"] for entry in entries}

    @property
    def memory(self) -> int:
        """MiB that it asked for."""
        asked = self._overrides.get("resourceRequirements") or self._properties.get("resourceRequirements") or ()
        return next((int(entry["value"]) for entry in asked if entry["type"] == "MEMORY"), 0)

    @property
    def log_group(self) -> str:
        """Where its log streams are."""
        options = self._properties.get("logConfiguration", {}).get("options", {})
        return str(options.get("awslogs-group", "/aws/batch/job"))

    @property
    def _properties(self) -> dict[str, Any]:
        return dict(self.definition.get("containerProperties", {}))

    @property
    def _overrides(self) -> dict[str, Any]:
        return self.asked.get("containerOverrides") or {}

    def _strategy(self, name: str) -> dict[str, Any]:
        """`retryStrategy` or `timeout`: the job's own, else the definition's."""
        return self.asked.get(name) or self.definition.get(name) or {}

    def follow(self, ending: Ending, durations: Durations, now: float) -> None:
        """Goes this way from now on."""
        self.ending = ending
        self.reason = ending.stuck_reason
        self.phases = [phase for phase in self.phases if phase[0] <= now]
        self.runs = [run for run in self.runs if run.end <= now]
        steps = ["SUBMITTED", "RUNNABLE", "STARTING"]
        steps = steps[: steps.index(ending.stuck) + 1] if ending.stuck in steps else steps
        self.phases += [(now + durations.wait * index / 3, step) for index, step in enumerate(steps)]
        if ending.stuck:
            if ending.stuck not in steps:
                self.phases.append((now + durations.wait, ending.stuck))
            return
        time = now + durations.wait
        allowed = max(1, int(self._strategy("retryStrategy").get("attempts") or 1))
        while True:
            attempt = self._fated(ending, ending.tries[min(len(self.runs), len(ending.tries) - 1)])
            attempt, seconds = self._limited(attempt, durations.seconds)
            if attempt.starts:
                self.phases.append((time, "RUNNING"))
            run = Run(len(self.runs) + 1, attempt, time, time + seconds)
            self.runs.append(run)
            time = run.end
            if not attempt.has_failed or attempt.final or run.number >= allowed or self._exits(attempt):
                break
            self.phases += [(time, "RUNNABLE"), (time, "STARTING")]
        self.phases.append((time, "FAILED" if attempt.has_failed else "SUCCEEDED"))
        self.reason = attempt.status_reason

    def _fated(self, ending: Ending, attempt: Try) -> Try:
        """The attempt, or what becomes of it in this queue and with so much memory."""
        if ending.spot_queue and self.asked["jobQueue"].rpartition("/")[2] == ending.spot_queue:
            return spot_reclaim().tries[0]
        return out_of_memory().tries[0] if self.memory < ending.memory else attempt

    def _limited(self, attempt: Try, usual: float) -> tuple[Try, float]:
        """The attempt under the job's time limit, and how long it takes."""
        seconds = usual if attempt.seconds is None else attempt.seconds
        limit = self._strategy("timeout").get("attemptDurationSeconds") or FOR_EVER
        if seconds <= limit:
            return attempt, seconds
        ended = replace(attempt, exit_code=137, status_reason=TIMED_OUT, failed=True, final=True, result=nothing)
        return ended, limit

    def _exits(self, attempt: Try) -> bool:
        """Whether the rules of the retry strategy end it here. Where none matches, Batch retries."""
        said = {
            "onExitCode": "" if attempt.exit_code is None else str(attempt.exit_code),
            "onReason": attempt.container_reason or "",
            "onStatusReason": attempt.status_reason,
        }
        for rule in self._strategy("retryStrategy").get("evaluateOnExit") or ():
            if all(_matches(said[name], rule[name]) for name in said if rule.get(name)):
                return str(rule["action"]).upper() == "EXIT"
        return False

    def status(self, now: float) -> str:
        """Its status."""
        return next(status for start, status in reversed(self.phases) if start <= now)

    def ended_at(self) -> float:
        """When it ends, or `NEVER`."""
        time, status = self.phases[-1]
        return time if status in ("SUCCEEDED", "FAILED") else NEVER

    def terminate(self, reason: str, now: float) -> None:
        """Ends it, unless it is over."""
        if self.ended_at() <= now:
            return
        self.phases = [phase for phase in self.phases if phase[0] <= now] + [(now, "FAILED")]
        self.runs = [run for run in self.runs if run.start <= now]
        if self.runs and self.runs[-1].end > now:
            run = self.runs[-1]
            run.end, run.told = now, True
            code = 143 if run.attempt.starts else None
            run.attempt = replace(run.attempt, exit_code=code, status_reason=reason, container_reason=None)
        self.reason = reason
        self.is_terminated = True

    def is_gone(self, now: float, retention: float) -> bool:
        """Whether Batch has forgotten it."""
        kept = retention if self.ending.vanishes is None else self.ending.vanishes
        return self.is_forgotten or now >= self.ended_at() + kept

    def leavings(self, now: float) -> Iterator[tuple[Container, Result | None]]:
        """What attempts that are over have to leave and have not left yet; None for the usual."""
        for run in self.runs:
            if run.end <= now and not run.told:
                run.told = True
                if run.attempt.starts:
                    yield Container(self.environment, self.name, self.id, run.number), run.attempt.result

    def log_stream(self, run: Run) -> str | None:
        """Name of an attempt's log stream."""
        options = self._properties.get("logConfiguration", {}).get("options", {})
        prefix = options.get("awslogs-stream-prefix", self.definition.get("jobDefinitionName"))
        return None if run.attempt.log is None else f"{prefix}/default/{self.id}.{run.number}"

    def entry(self, now: float, date: Any) -> dict[str, Any]:
        """Its entry in DescribeJobs.

        Args:
            now: The laboratory's time.
            date: Makes seconds since 1970 of it.
        """
        asked, status = self.asked, self.status(now)
        over = [run for run in self.runs if run.end <= now]
        begun = [run for run in self.runs if run.start <= now and run.attempt.starts]
        container = self._container()
        found: dict[str, Any] = {
            **self.summary(now, date),
            "jobQueue": asked["jobQueue"],
            "attempts": [self._attempt(run, date) for run in over],
            "dependsOn": [],
            "parameters": {},
            "tags": asked.get("tags", {}),
            "propagateTags": bool(asked.get("propagateTags")),
            "platformCapabilities": ["EC2"],
            "isCancelled": False,
            "isTerminated": self.is_terminated,
            "container": container,
        }
        for name in ("retryStrategy", "timeout"):
            if strategy := self._strategy(name):
                found[name] = strategy
        if begun:
            found["startedAt"] = _ms(date, begun[-1].start)
            if stream := self.log_stream(begun[-1]):
                container["logStreamName"] = stream
        if status in ("SUCCEEDED", "FAILED"):
            container.update(_said(over[-1].attempt) if over else {})
        return {**found, **self.ending.entry}

    def summary(self, now: float, date: Any) -> dict[str, Any]:
        """Its entry in ListJobs; arguments as for `entry`."""
        status = self.status(now)
        found = {
            "jobArn": self.asked["jobArn"],
            "jobId": self.id,
            "jobName": self.name,
            "jobDefinition": self.asked["jobDefinition"],
            "createdAt": _ms(date, self.created),
            "status": status,
        }
        if self.reason and (status in ("SUCCEEDED", "FAILED") or status == self.ending.stuck):
            found["statusReason"] = self.reason
        if self.ended_at() <= now:
            found["stoppedAt"] = _ms(date, self.ended_at())
        return found

    def _container(self) -> dict[str, Any]:
        copied = ("image", "jobRoleArn", "executionRoleArn", "logConfiguration", "command")
        container = {name: value for name, value in self._properties.items() if name in copied}
        container["environment"] = [{"name": name, "value": value} for name, value in self.environment.items()]
        resources = {
            entry["type"]: entry["value"]
            for settings in (self._properties, self._overrides)
            for entry in settings.get("resourceRequirements") or ()
        }
        container["resourceRequirements"] = [{"type": kind, "value": value} for kind, value in resources.items()]
        return container

    def _attempt(self, run: Run, date: Any) -> dict[str, Any]:
        container = _said(run.attempt)
        if stream := self.log_stream(run):
            container["logStreamName"] = stream
        found = {"container": container, "statusReason": run.attempt.status_reason, "stoppedAt": _ms(date, run.end)}
        return found | ({"startedAt": _ms(date, run.start)} if run.attempt.starts else {})


def _said(attempt: Try) -> dict[str, Any]:
    """What the agent said of an attempt that is over."""
    said = {"exitCode": attempt.exit_code, "reason": attempt.container_reason}
    return {name: value for name, value in said.items() if value is not None}


def _matches(text: str, pattern: str) -> bool:
    """A pattern of a retry strategy: upper and lower case are the same, a final `*` stands for anything."""
    text, pattern = text.lower(), pattern.lower()
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern


def _ms(date: Any, moment: float) -> int:
    return int(date(moment) * 1000)
