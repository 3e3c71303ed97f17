"""How jobs end: one function for each way.

An ending has a list of tries, one for each attempt of the job; the last one holds for all further attempts. As in the
service, an attempt that fails is followed by another one while the job's retry strategy allows it: `out_of_memory()`
fails three times where three attempts were asked for, and `spot_reclaim(then=succeed())` comes well at the second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from . import results
from .results import Result

EXITED = "Essential container in task exited"
NOT_STARTED = "Task failed to start"
TIMED_OUT = "Job attempt duration exceeded timeout"
FOR_EVER = float("inf")


@dataclass(frozen=True)
class Try:
    """One attempt of a job.

    Attributes:
        exit_code: Of the container; None for none.
        status_reason: What Batch says.
        container_reason: What the agent says.
        failed: Whether the attempt failed; by default where the exit code is not 0.
        result: What the program leaves; None for what the laboratory's jobs leave.
        seconds: How long it runs; None for what the laboratory's jobs take.
        starts: Whether the container comes to run at all.
        final: Whether it is never followed by another attempt, as after a termination or a time limit.
        log: Lines of its log; None for no log stream.
    """

    exit_code: int | None = 0
    status_reason: str = EXITED
    container_reason: str | None = None
    failed: bool | None = None
    result: Result | None = None
    seconds: float | None = None
    starts: bool = True
    final: bool = False
    log: tuple[str, ...] | None = ("Hello from the container.",)

    @property
    def has_failed(self) -> bool:
        """Whether the job failed, if no further attempt follows."""
        return self.exit_code != 0 if self.failed is None else self.failed


@dataclass(frozen=True)
class Ending:
    """What becomes of a job.

    Attributes:
        tries: Its attempts.
        stuck: Status in which it stays for ever; empty to go on.
        stuck_reason: What Batch says meanwhile.
        memory: MiB that its function takes: each attempt of a job with less is killed for want of it.
        spot_queue: Queue whose machines are taken back, with each attempt that runs there.
        vanishes: Seconds after its end at which Batch forgets it; None for the laboratory's retention.
        entry: Fields of its entry in DescribeJobs, in place of the true ones.
    """

    tries: tuple[Try, ...] = (Try(),)
    stuck: str = ""
    stuck_reason: str = ""
    memory: int = 0
    spot_queue: str = ""
    vanishes: float | None = None
    entry: Mapping[str, Any] = field(default_factory=dict)


def _failing(then: Ending | None, times: int, attempt: Try) -> Ending:
    """An attempt that fails so many times before another ending, or always."""
    return Ending((attempt,)) if then is None else replace(then, tries=(attempt,) * times + then.tries)


# --- ends that are well ---


def succeed(result: Result | None = None, seconds: float | None = None) -> Ending:
    """The job runs and leaves its result."""
    return Ending((Try(result=result, seconds=seconds),))


def without_result() -> Ending:
    """It succeeds and leaves nothing: the image is not one for Covalent."""
    return succeed(results.nothing)


def planted(data: bytes, metadata: Mapping[str, str] | None = None) -> Ending:
    """It succeeds, and at the result's key stand bytes of somebody's choice."""
    return succeed(results.Planted(data, metadata or {}))


def corrupt_envelope() -> Ending:
    """It succeeds, and the envelope is cut short."""
    return planted(b"\x80\x04}(\x8c\x06status\x8c\x09succee", {"covalent-awsbatch-format": "2"})


def corrupt_legacy() -> Ending:
    """It succeeds, and the bare result is cut short."""
    return planted(results.bare_pickle("cut short")[:-20])


def other_python(version: str = "3.8.19") -> Ending:
    """The function's pickle could not be read by the container's Python, and the runner says so."""
    trace = "ValueError: unsupported pickle protocol: 5"
    return raised(results.failed(trace, "ValueError", python=version))


def other_python_legacy() -> Ending:
    """The bare result was pickled by a Python whose protocol this one does not know."""
    return planted(b"\x80\x09" + results.bare_pickle("from the future")[2:])


def of_another_job() -> Ending:
    """At the result's key stands the envelope of a job that ran before under the same name."""
    return succeed(results.Envelope(fields={"job_id": "00000000-0000-0000-0000-000000000000"}))


# --- what the program does ---


def raised(result: Result | None = None, seconds: float | None = None) -> Ending:
    """The function raised; our runner reports it."""
    trace = 'Traceback (most recent call last):\n  File "task.py", line 1, in task\nValueError: 1 is too few'
    return Ending((Try(1, result=result or results.failed(trace, "ValueError"), seconds=seconds),))


def raised_legacy() -> Ending:
    """The function raised; the public image's program reports it."""
    trace = "Traceback (most recent call last):\nValueError: 1 is too few"
    return raised(results.Legacy(traceback=trace, exception="ValueError"))


def exited(code: int, then: Ending | None = None, times: int = 1) -> Ending:
    """The container exits with a code and leaves nothing."""
    return _failing(then, times, Try(code, result=results.nothing))


def function_missing() -> Ending:
    """The function's object is not in the bucket. The laboratory itself gives this ending, where it is so."""
    trace = "FileNotFoundError: the task's object is not in the bucket"
    return printing(raised(results.failed(trace, "FileNotFoundError")), trace)


def out_of_memory(then: Ending | None = None, times: int = 1) -> Ending:
    """The container took more memory than the job had asked for."""
    reason = "OutOfMemoryError: Container killed due to memory usage"
    return _failing(then, times, Try(137, EXITED, reason, result=results.nothing))


def takes_memory(mib: int) -> Ending:
    """It succeeds where it has so much memory, and is killed for want of it where it has less."""
    return replace(succeed(), memory=mib)


def timed_out(exit_code: int | None = None) -> Ending:
    """An attempt ran longer than the time limit. Such an attempt is not retried."""
    return Ending((Try(exit_code, TIMED_OUT, failed=True, final=True, result=results.nothing),))


def terminated(reason: str = "Wrong queue, sorry", exit_code: int | None = 143) -> Ending:
    """Somebody else terminated it."""
    attempt = Try(exit_code, reason, failed=True, final=True, result=results.nothing)
    return Ending((attempt,), entry={"isTerminated": True})


def printing(ending: Ending, *lines: str) -> Ending:
    """The same, with these lines in the log of each attempt; without any there is no log stream."""
    return replace(ending, tries=tuple(replace(attempt, log=lines or None) for attempt in ending.tries))


# --- what becomes of the machine ---


def spot_reclaim(then: Ending | None = None, times: int = 1) -> Ending:
    """The instance went away."""
    reason = "Host EC2 (instance i-0123456789abcdef0) terminated."
    return _failing(then, times, Try(None, reason, result=results.nothing))


def spot_in(queue: str) -> Ending:
    """The instances of this queue go away under the job, and those of others do not."""
    return replace(succeed(), spot_queue=queue)


def fargate_spot_reclaim(then: Ending | None = None, times: int = 1) -> Ending:
    """The same on Fargate."""
    return _failing(then, times, Try(None, "Your Spot Task was interrupted.", result=results.nothing))


def image_missing(then: Ending | None = None, times: int = 1) -> Ending:
    """The image is not there."""
    reason = (
        "CannotPullContainerError: Error response from daemon: manifest for example:tag not found: manifest unknown"
    )
    return _not_started(reason, then, times)


def image_denied() -> Ending:
    """The image may not be pulled."""
    reason = "CannotPullContainerError: pull access denied for example, repository does not exist: unauthorized"
    return _not_started(reason, None, 1)


def docker_timeout(then: Ending | None = None, times: int = 1) -> Ending:
    """The agent could not start the container in time."""
    reason = "DockerTimeoutError: Could not transition to started; timed out after waiting 3m0s"
    return _not_started(reason, then, times)


def cannot_start(then: Ending | None = None, times: int = 1) -> Ending:
    """The agent could not start the container."""
    reason = 'CannotStartContainerError: Error response from daemon: exec: "python": not found in $PATH'
    return _not_started(reason, then, times)


def role_not_assumable(role: str = "arn:aws:iam::123456789012:role/CovalentBatchJobRole") -> Ending:
    """ECS may not give the task its role."""
    reason = f"ECS was unable to assume the role '{role}' that was provided for this task. Please verify that the role "
    attempt = Try(None, reason + "being passed has the proper trust relationship.", result=results.nothing)
    return Ending((replace(attempt, starts=False, log=None),))


def _not_started(reason: str, then: Ending | None, times: int) -> Ending:
    attempt = Try(None, NOT_STARTED, reason, result=results.nothing, starts=False, log=None)
    return _failing(then, times, attempt)


def not_inspected(result: Result | None = None) -> Ending:
    """It finished and left its result, but the agent could not look at the container."""
    reason = "CannotInspectContainerError: Could not transition to inspecting; timed out after waiting 30s"
    return Ending((Try(None, EXITED, reason, failed=True, result=result),))


def not_inspected_without_result() -> Ending:
    """The agent could not look at the container, and there is no result."""
    return not_inspected(results.nothing)


# --- attempts ---


def succeed_at(attempt: int) -> Ending:
    """The function raises in each attempt before this one, each leaving an envelope."""
    return Ending(raised().tries * (attempt - 1) + succeed().tries)


def left_behind() -> Ending:
    """The first attempt raised and left an envelope; all later ones lost their machine."""
    return Ending(raised().tries + spot_reclaim().tries)


# --- neither well nor failed ---


def runs_for_ever() -> Ending:
    """It runs until it is terminated, or is given another ending."""
    return Ending((Try(seconds=FOR_EVER),))


def stuck(reason: str = "", status: str = "RUNNABLE") -> Ending:
    """It never gets to run; see `STUCK` for what Batch says."""
    return Ending(stuck=status, stuck_reason=reason)


STUCK = {
    "resources": "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is higher "
    "than that can be met by the CE(s) attached to the job queue.",
    "max_vcpus": "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - The CE(s) associated with the job queue cannot "
    "meet the job resource requirement, because of their maximum vCPU.",
    "service_role": "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS - The service role of the CE(s) lacks permissions.",
    "capacity": "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Instances cannot be launched for want of capacity.",
    "undetermined": "UNDETERMINED - Batch job is blocked, root cause is undetermined.",
}


def vanished(result: Result | None = None, after: float = 0.0) -> Ending:
    """It succeeds, leaves its result, and Batch has no record of it any more."""
    return replace(succeed(result), vanishes=after)


def vanished_without_result(after: float = 0.0) -> Ending:
    """Batch has no record of it any more, and there is no result."""
    return vanished(results.nothing, after)


def malformed(result: Result | None = None, **entry: Any) -> Ending:
    """It succeeds, but its entry in DescribeJobs is not what the API promises: by default, a number for the status."""
    return replace(succeed(result), entry=entry or {"status": 7})


def failed(status_reason: str | None = None, container_reason: str | None = None, code: int | None = None) -> Ending:
    """It fails in words of the caller's choice."""
    return Ending((Try(code, status_reason or "", container_reason, failed=True, result=results.nothing),))
