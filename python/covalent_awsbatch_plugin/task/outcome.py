"""The end of a job: waited for, and turned into what its task ends with."""

from __future__ import annotations

from typing import Any

from covalent._shared_files.exceptions import TaskCancelledError

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.agreement import naming
from covalent_awsbatch_plugin.environment import prepare, requested
from covalent_awsbatch_plugin.options.settings import Settings

from . import nodes, resubmission, retrieval, termination, unstarted


async def wait(
    executor: Any, connection: Client, settings: Settings, job_id: str, task_metadata: dict[str, Any]
) -> None:
    """Wait until a job is over and has left a result.

    Args:
        executor: Whose streams get what the function printed, and who asks Covalent whether the task was cancelled.
        connection: Connection to use.
        settings: The task's options.
        job_id: The job.
        task_metadata: `dispatch_id` and `node_id`.

    Raises:
        TaskCancelledError: It was terminated because Covalent asked for it.
        JobFailedError: It failed. What the function printed is then on the task's streams.
    """
    job, seen = await nodes.end_of(connection, settings, job_id)
    if job.status == "SUCCEEDED":
        return
    settings = resubmission.as_submitted(settings, job)
    if job.status == "RUNNABLE":
        await connection.terminate(job_id, f"No machine for it within runnable_timeout={settings.runnable_timeout:g}")
        raise await unstarted.never_started(connection, settings, job)
    if job.cause == "stuck":
        # Before its result is looked for: a host that AWS does not hear from may run it all the same.
        await connection.terminate(job_id, f"It stayed {job.status} for too long")
    key = naming.of_task(naming.RESULT_FILENAME, task_metadata)
    report, unread = await retrieval.fetch_last_words(connection, settings.s3_bucket_name, key, job_id)
    if report and report.succeeded and job.cause != "cancelled":
        return  # It did finish: the agent could not tell, or the host was lost right after, or the record expired.
    main = nodes.Failure(job, report, unread)
    failed = await nodes.first_to_fail(connection, settings, main, key, seen)
    _show(executor, report)
    _show(executor, failed.report if failed else None)
    if job.cause == "cancelled" or await executor.get_cancel_requested():
        raise TaskCancelledError(f"Job {job_id} was cancelled from Covalent.")
    if job.status == "VANISHED":
        # Should it run after all, nobody waits for it any more.
        reason = "AWS Batch had no record of this job for a while, and its task has ended"
        termination.request(connection, job_id, reason)
    if job.cause == "stuck":
        raise await unstarted.stuck(connection, settings, job)
    failure = await nodes.failure(connection, settings, job, main, failed)
    if report is None:
        # It may have missed its environment, which the next task then brings at once.
        prepare.forget(connection, settings.s3_bucket_name)
        requested.forget(connection, settings.s3_bucket_name)
    raise failure


def _show(executor: Any, report: retrieval.Report | None) -> None:
    """Puts what a function printed on the task's streams."""
    if report:
        print(report.stdout, end="", file=executor.task_stdout)
        print(report.stderr, end="", file=executor.task_stderr)
