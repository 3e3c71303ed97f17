"""Schedules jobs first in, first out, or by their shares, within the vCPUs of the compute environments."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack

from moto.batch.models import ComputeEnvironment
from moto.batch.utils import JobStatus

from covalent_awsbatch_plugin.options import instance_types

from . import fair_share
from .api import api_lock
from .consumables import Consumables
from .job import ENDED, LocalJob
from .retry import Outcome, is_retried

_log = logging.getLogger(__name__)

Runner = Callable[[LocalJob, ComputeEnvironment, ExitStack], Outcome]
"""Runs one attempt of a job in a compute environment and returns how it ended; called in a thread of its own."""

# AWS's own words.
TOO_BIG = (
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job queue cannot meet the job "
    "resource requirement."
)
NO_MACHINE = (
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is higher than that "
    "can be met by the CE(s) attached to the job queue."
)
_KILL_SECONDS = 5.0


class Scheduler:
    """Places jobs. It has no thread: waiting jobs are examined after every change.

    A job that does not fit blocks those behind it in the same queue, as in AWS Batch.

    Args:
        run_attempt: Runs one attempt, and leaves to the stack what is to be removed when its end has been reported.
        stop_grace: Seconds between SIGTERM and SIGKILL for a job that is terminated.
    """

    def __init__(self, run_attempt: Runner, stop_grace: float) -> None:
        self.jobs: list[LocalJob] = []
        self.consumables = Consumables()
        self._run_attempt = run_attempt
        self._stop_grace = stop_grace
        self._waiting: set[LocalJob] = set()
        self._used: defaultdict[str, float] = defaultdict(float)
        self._running: dict[LocalJob, threading.Thread] = {}
        self._threads: set[threading.Thread] = set()
        self._numbers = itertools.count()
        self._stopped = False

    def submit(self, job: LocalJob) -> None:
        """Queues a job, or the children of an array."""
        with api_lock:
            self.jobs.append(job)
            job.status = JobStatus.PENDING
            for child in job.children:
                child.parent_job = job
            for placed in job.children or [job]:
                placed.status = JobStatus.PENDING
                placed.number = next(self._numbers)
                self._waiting.add(placed)
            self.place()

    def place(self) -> None:
        """Starts all jobs that fit."""
        with api_lock:
            blocked_queues: set[str] = set()
            in_line = sorted(self._waiting, key=lambda job: (-int(job.job_queue.priority), job.number))
            for job in fair_share.ordered(in_line, self._running):
                if self._stopped:
                    return
                if not self._is_runnable(job) or job.job_queue.arn in blocked_queues:
                    continue
                environment = self._find_room(job)
                if environment is None or not self.consumables.suffice(job.job_id, job.consumables):
                    blocked_queues.add(job.job_queue.arn)
                    continue
                self._start(job, environment)

    def terminate(self, job: LocalJob, reason: str, cancelled: bool = False) -> None:
        """Ends a job in whatever state it is, for good.

        Args:
            job: The job; of an array all children.
            reason: Becomes the job's `statusReason`.
            cancelled: It was CancelJob that asked.
        """
        with api_lock:
            for child in job.children:
                self.terminate(child, reason, cancelled)
            if job.children or job.status in ENDED or job.end_reason is not None:
                return
            # Of a job that has nodes, its process ends them all.
            job.end_reason = reason
            job.is_cancelled = cancelled
            if job in self._waiting:
                self._waiting.remove(job)
                self._end(job, False, reason)
                self.place()
            elif job.process:
                job.process.stop(self._stop_grace if job.stop_timeout is None else job.stop_timeout)

    def stop(self, grace: float) -> None:
        """Ends every job and waits until all their processes are gone.

        Args:
            grace: Seconds between SIGTERM and SIGKILL.
        """
        with api_lock:
            self._stopped = True
            for job in [*self._waiting, *self._running]:
                self.terminate(job, "The embedded AWS was stopped.")
            for job in self._running:
                if job.process:
                    job.process.stop(grace)
            threads = list(self._threads)
        if not _join(threads, grace + _KILL_SECONDS):
            with api_lock:
                processes = [job.process for job in self._running if job.process]
            for process in processes:
                process.kill()
            if not _join(threads, _KILL_SECONDS):
                _log.error("a job's process could not be ended")

    def _is_runnable(self, job: LocalJob) -> bool:
        if job.status == JobStatus.RUNNABLE:
            return True
        before = [job.all_jobs.get(dependency.get("jobId", "")) for dependency in job.depends_on or []]
        if any(other is not None and other.status == JobStatus.FAILED for other in before):
            self._waiting.remove(job)
            self._end(job, False, "Dependent Job failed")
        elif all(other is None or other.status == JobStatus.SUCCEEDED for other in before):
            job.status = JobStatus.RUNNABLE
        return bool(job.status == JobStatus.RUNNABLE)

    def _find_room(self, job: LocalJob) -> ComputeEnvironment | None:
        if job.job_queue.state == "DISABLED":
            return None
        misfits = {environment: _misfit_reason(job, environment) for environment in job.job_queue.environments}
        able = [environment for environment, misfit in misfits.items() if misfit is None]
        for environment in able:
            if environment.state != "DISABLED" and self._used[environment.arn] + job.vcpus <= _max_vcpus(environment):
                return environment
        job.status_reason = None if able else TOO_BIG if TOO_BIG in misfits.values() else NO_MACHINE
        return None

    def _start(self, job: LocalJob, environment: ComputeEnvironment) -> None:
        self._waiting.remove(job)
        self._used[environment.arn] += job.vcpus
        self.consumables.take(job.job_id, job.consumables)
        job.status = JobStatus.STARTING
        job.status_reason = None
        # The thread must outlive the job's process (see JobProcess), and must not delay the interpreter's exit.
        thread = threading.Thread(target=self._run, args=(job, environment), daemon=True, name=f"job-{job.job_id}")
        self._running[job] = thread
        self._threads.add(thread)
        thread.start()

    def _run(self, job: LocalJob, environment: ComputeEnvironment) -> None:
        with ExitStack() as cleanup:
            try:
                outcome = self._run_attempt(job, environment, cleanup)
            except Exception as error:  # noqa: BLE001  (whatever it is, the job must end)
                _log.exception("job %s could not be run", job.job_id)
                outcome = Outcome(None, "Task failed to start", f"CannotStartContainerError: {error}")
            self._report(job, environment, outcome)
        with api_lock:
            self._threads.discard(threading.current_thread())

    def _report(self, job: LocalJob, environment: ComputeEnvironment, outcome: Outcome) -> None:
        with api_lock:
            del self._running[job]
            self._used[environment.arn] -= job.vcpus
            job.end_attempt(outcome)
            if job.end_reason is None and is_retried(outcome, len(job.attempts), job.retry_strategy):
                job.status = JobStatus.RUNNABLE
                self._waiting.add(job)
            else:
                self._end(job, outcome.succeeded, outcome.status_reason)
            self.place()

    def _end(self, job: LocalJob, succeeded: bool, reason: str | None) -> None:
        job.end(succeeded, reason)
        self.consumables.release(job.job_id, job.consumables)
        parent = job.parent_job
        if parent and all(child.status in ENDED for child in parent.children):
            failed = any(child.status == JobStatus.FAILED for child in parent.children)
            parent.end(not failed, "Array Child Job failed" if failed else None)


def _misfit_reason(job: LocalJob, environment: ComputeEnvironment) -> str | None:
    """Why a job does not fit into an empty environment; None if it fits, or if that is unknown."""
    resources = environment.compute_resources or {}
    types = resources.get("instanceTypes") or []
    if instance_types.holds(types, job.size) is False or (job.nodes and resources.get("type") != "EC2"):
        return NO_MACHINE  # https://docs.aws.amazon.com/batch/latest/userguide/mnp-ce.html: no Spot, and no Fargate
    return TOO_BIG if job.vcpus > _max_vcpus(environment) else None


def _max_vcpus(environment: ComputeEnvironment) -> float:
    return float((environment.compute_resources or {}).get("maxvCpus", 0))


def _join(threads: list[threading.Thread], seconds: float) -> bool:
    """Waits for all threads together; returns whether they have ended."""
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)
