"""The nodes of a job that has several: which of them failed, and what becomes of its task then."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from covalent_awsbatch_plugin import errors
from covalent_awsbatch_plugin._core import Client, Job
from covalent_awsbatch_plugin.agreement import naming
from covalent_awsbatch_plugin.options.settings import Settings

from . import retrieval, unstarted

_FAILED = "One of its nodes has failed, and AWS Batch lets the others run on: node "
_UNSTARTED = "One of its nodes does not begin to run, and AWS Batch lets the others wait for it: node "
# What says nothing of a node, since it ended all of them.
_OF_ALL = ("cancelled", "time_limit", "state_time_limit", "stuck", "vanished")
# What a node raises when another one has gone or is not there, by Python's sockets or PyTorch.
_LOST_ANOTHER = {
    *("ConnectionError", "ConnectionResetError", "ConnectionAbortedError", "ConnectionRefusedError"),
    *("BrokenPipeError", "DistBackendError", "DistNetworkError", "DistStoreError"),
}
_MOST_READ = 20  # of those that failed first
_CONCURRENT_READS = 20

_log = logging.getLogger(__name__)


class TryAgainError(errors.JobFailedError):
    """A node failed, and the task has attempts left: after such a failure AWS Batch makes none by itself.

    https://docs.aws.amazon.com/batch/latest/userguide/multi-node-parallel-jobs.html
    """


@dataclass(frozen=True)
class Seen:
    """A node for which a job was ended while it ran.

    Attributes:
        node: The node.
        unstarted: What is to be said of a node that did not begin to run; empty if it failed.
    """

    node: Job
    unstarted: str = ""


async def end_of(connection: Client, settings: Settings, job_id: str) -> tuple[Job, Seen | None]:
    """Wait until a job is over, and end it if one of its nodes fails, or does not begin within `runnable_timeout`.

    Args:
        connection: Connection to use.
        settings: The task's options.
        job_id: The job.

    Returns:
        The job as it ended, and the node for which it was ended, if it was.
    """
    seen: Seen | None = None
    while True:
        job = await connection.end_of(job_id, settings.poll_freq, settings.runnable_timeout)
        if (node := job.failed_node or job.unstarted_node) is None:
            break
        if seen is not None:
            continue
        if job.failed_node:
            seen = Seen(node)
            _log.warning("Node %s of job %s has failed: the job is ended", number(node), job_id)
            await connection.terminate(job_id, f"{_FAILED}{number(node)}")
        else:
            seen = Seen(node, unstarted.node(settings, node))
            _log.warning("Node %s of job %s: %s The job is ended", number(node), job_id, seen.unstarted)
            await connection.terminate(job_id, f"{_UNSTARTED}{number(node)}: {seen.unstarted}")
    return job, seen


@dataclass(frozen=True)
class Failure:
    """A node that failed, or a job of one.

    Attributes:
        node: The node.
        report: What it left, if anything.
        unread: Why that could not be read, if so.
        unstarted: What is to be said of a node that did not begin to run; empty if it failed.
    """

    node: Job
    report: retrieval.Report | None
    unread: str = ""
    unstarted: str = ""

    @property
    def exception(self) -> str:
        """Class name of the exception, without its module; empty if it left none."""
        return ((self.report and self.report.exception) or "").rpartition(".")[2]

    @property
    def is_stopped(self) -> bool:
        """Whether its container was asked to end."""
        return bool(self.report and self.report.interrupted)

    @property
    def is_of_another(self) -> bool:
        """Whether it was stopped, or failed because another one has gone."""
        return self.is_stopped or self.exception in _LOST_ANOTHER

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """Of several failures the least one came first: a node that was stopped, or lost another one, did so later."""
        return self.is_stopped, self.exception in _LOST_ANOTHER, self.node.stopped_at or 0


async def first_to_fail(
    connection: Client, settings: Settings, main: Failure, task_key: str, seen: Seen | None
) -> Failure | None:
    """The node whose failure ended a job, or that did not begin to run.

    Args:
        connection: Connection to use.
        settings: The task's options.
        main: The job as it ended, with what its main node's program said.
        task_key: Key of the task's result.
        seen: The node for which it was ended while it ran, if it was.

    Returns:
        The node, unless it is the main one, or the job did not end so.
    """
    job = main.node
    if not job.nodes or job.cause in _OF_ALL:
        return None
    reason = job.status_reason or ""
    if job.cause == "terminated" and not reason.startswith((_FAILED, _UNSTARTED)):
        return None
    if seen is not None and seen.unstarted:
        return Failure(seen.node, None, unstarted=seen.unstarted)
    found = await connection.describe_all([f"{job.id}#{index}" for index in range(job.nodes)])
    if reason.startswith(_UNSTARTED):  # by a server that has ended
        named, _, said = reason.removeprefix(_UNSTARTED).partition(": ")
        node = found.get(f"{job.id}#{named}")
        return None if node is None else Failure(node, None, unstarted=said)
    main_node = found.get(f"{job.id}#0")
    # The main node did begin, or it would not have ended; its record may say a little earlier than the job's.
    late = [node for node in found.values() if number(node) and _is_late(job, node, main_node)]
    failed = [node for node in found.values() if node.status == "FAILED" and node.stopped_at is not None]
    # The others missed the last attempt.
    failed = [node for node in failed if node.attempts >= job.attempts and node not in late]
    failed.sort(key=lambda node: (node.stopped_at, number(node)))
    failures = await asyncio.gather(
        *(_failure_of(connection, settings, job, task_key, node) for node in failed[:_MOST_READ])
    )
    first = min(failures, key=lambda one: one.rank, default=None)
    if seen is not None and (first is None or not number(first.node)):
        first = await _failure_of(connection, settings, job, task_key, seen.node)
    is_explained = first is not None and number(first.node) and not first.is_of_another
    if late and not is_explained and main.exception in {*_LOST_ANOTHER, "TimeoutError"}:
        return Failure(min(late, key=number), None, unstarted=unstarted.node_of_ended_job(main.exception))
    return first if first is not None and number(first.node) else None


def _is_late(job: Job, node: Job, main: Job | None) -> bool:
    """Whether a node had not begun to run in the last attempt of a job when the main node ended, and did not fail."""
    since = job.started_at or 0
    if node.status == "RUNNING" or (node.started_at or 0) >= since:
        return False
    ended = (main and main.stopped_at) or job.stopped_at or 0
    has_failed = node.stopped_at is not None and since <= node.stopped_at < ended
    return not has_failed and not node.container_reason


async def _failure_of(connection: Client, settings: Settings, job: Job, task_key: str, node: Job) -> Failure:
    index = number(node)
    attempt = attempts_before(settings, job) + max(1, job.attempts)
    key = naming.node_result_key(task_key, index, attempt)
    wrote = node.id if index else job.id
    return Failure(node, *await retrieval.fetch_last_words(connection, settings.s3_bucket_name, key, wrote))


def number(node: Job) -> int:
    """The number of a node in its job.

    Args:
        node: The node.
    """
    return int(node.id.rpartition("#")[2])


def attempts_before(settings: Settings, job: Job) -> int:
    """How many attempts earlier jobs of a task have had, as the job itself tells.

    Args:
        settings: The task's options.
        job: Its newest job.
    """
    return max(0, settings.retry_attempts - (job.allowed_attempts or settings.retry_attempts))


async def failure(
    connection: Client, settings: Settings, job: Job, main: Failure, failed: Failure | None
) -> errors.JobFailedError:
    """Explain a job that failed, by the node that did if it is another one than the main one.

    Args:
        connection: Connection to use.
        settings: The task's options.
        job: The job as it ended.
        main: The job itself, with what its program said.
        failed: What `first_to_fail` returned.

    Returns:
        The error to raise; a `TryAgainError` if there is to be another attempt.
    """
    if failed is None:
        return await retrieval.failure(connection, settings, main.node, main.report, main.unread)
    node = number(failed.node)
    if failed.unstarted:
        message = f"Node {node} of the {job.nodes} of job {job.id} did not run: {failed.unstarted}"
        message += retrieval.console(settings, job)
        details = {**retrieval.details(failed.node), "cause": "never_started"}
    else:
        error = await retrieval.failure(connection, settings, failed.node, failed.report, failed.unread)
        message = f"{error.message}\nThat was node {node} of the {job.nodes} of job {job.id}, which ended with it."
        details = error.details
    details = {**details, "job_id": job.id, "node": node, "attempts": job.attempts}
    used = max(1, job.attempts)
    left = (job.allowed_attempts or settings.retry_attempts) - used
    if left < 1 or not (failed.unstarted or _is_repeated(settings, failed.node, details["cause"])):
        return errors.JobFailedError(message, **details)
    before = attempts_before(settings, job) + used
    return TryAgainError(message, **{**details, "attempts_before": before})


def _is_repeated(settings: Settings, failed: Job, cause: str) -> bool:
    """Whether the failure is one that `retry_on` has repeated, by the same rules as AWS Batch.

    The reason of a node that raised an exception, and was ended with its job before its container had, is that end.
    """
    if settings.retry_on == "any" or (failed.container_reason or "").startswith("Cannot"):
        return True
    return cause != "exception" and not (failed.status_reason or "").startswith("Essential container in task exited")


async def results(
    connection: Client, settings: Settings, job_id: str | None, task_key: str, main: retrieval.Report
) -> list[Any]:
    """What the nodes other than the main one have returned, in their order.

    Args:
        connection: Connection to use.
        settings: The task's options.
        job_id: The task's job, which succeeded; None if it is not known.
        task_key: Key of the task's result.
        main: What the main node left.

    Returns:
        A `TransportableObject` of each.

    Raises:
        ResultError: One of them is missing, or cannot be used.
    """
    job = await connection.describe(job_id) if job_id else None
    before = attempts_before(settings, job) if job else 0
    bucket, reads = settings.s3_bucket_name, asyncio.Semaphore(_CONCURRENT_READS)

    async def result(node: int) -> Any:
        key = naming.node_result_key(task_key, node, before + (main.attempt or 1))
        async with reads:
            report = await retrieval.fetch_report(connection, bucket, key, job_id and f"{job_id}#{node}")
            if report is None or report.of_job or not report.succeeded:
                raise errors.ResultError(
                    f"Node {node} of job {job_id}, which succeeded, left no result at s3://{bucket}/{key}: "
                    "node_results='all' needs this package's runner on each node.",
                    bucket=bucket,
                    key=key,
                )
            return await retrieval.fetch_result(connection, bucket, key, report)

    return list(await asyncio.gather(*map(result, range(1, settings.nodes))))
