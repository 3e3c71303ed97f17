"""Retrieves a job's result from the bucket, or explains why there is none."""

from __future__ import annotations

import asyncio
import io
import logging
import platform
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from covalent_awsbatch_plugin import errors
from covalent_awsbatch_plugin._core import Client, Job, Reader
from covalent_awsbatch_plugin.agreement.naming import io_output_key, output_key
from covalent_awsbatch_plugin.environment import prepare
from covalent_awsbatch_plugin.options.settings import Settings
from covalent_awsbatch_plugin.printable import one_line, printable

from . import archive, sharing, threads, transfer

_SMALL_RESULT_BYTES = 64 * 1024  # a smaller result is decoded without another thread
_MAX_REASON_CHARS = 300
_REFUSED_SIGNATURES = {
    "wrong": "its signature is not the job's",
    "missing": "it has no signature, as others of its image have; or was the image replaced meanwhile?",
}
_PACKAGED_BY = "Python {python}, cloudpickle {cloudpickle}, Covalent {covalent}"
_MAX_LINE_CHARS = 1000  # characters of one of them
_LOG_TAIL_LINES = 20  # lines of the log in an error message
_DETAIL_TIMEOUT_SECONDS = 10.0  # for details that only improve an explanation
_UNSPECIFIC_CAUSES = (
    "exited",
    "unknown",
    "not_inspected",
    "vanished",
)  # causes for which the function's traceback explains more
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Report:
    """The report of the program in the container.

    Attributes:
        succeeded: Whether it left a result.
        stdout: What the function printed.
        stderr: What it printed to the error stream.
        traceback: Why it failed, as Python prints it; empty if it did not or could not say.
        exception: Class name of the exception, if it said.
        output: Bytes of the serialised result; None if it is an object of its own.
        output_hash: The hash that the content of that object has to have, if known.
        bare: Bytes of the bare pickle, if the result is one, of the public image's program.
        reader: Where to read it for the first time; None to ask for it.
        attempt: Number of the attempt that wrote this, from 1; None if it did not say.
        interrupted: Whether the container was asked to end while the function ran.
        python: Version of the container's Python, if it said.
        of_job: The job that wrote this, if it is not the one that was asked about; nothing else is then of interest.
    """

    succeeded: bool
    stdout: str = ""
    stderr: str = ""
    traceback: str = ""
    exception: str | None = None
    output: bytes | None = None
    output_hash: transfer.OutputHash | None = None
    bare: int | None = None
    reader: Reader | None = None
    attempt: int | None = None
    interrupted: bool = False
    python: str | None = None
    of_job: str | None = None


async def fetch_report(client: Client, bucket: str, key: str, job_id: str | None = None) -> Report | None:
    """Read the object at a result's key, whichever image ran.

    Args:
        client: Connection to use.
        bucket: Name of the bucket.
        key: Key of the result.
        job_id: The job whose report is wanted: that of another job does not count.

    Returns:
        The report, or None if there is none.

    Raises:
        ResultError: It is corrupt, or the task's job did not write it.
    """
    found = await client.stored_result(bucket, key)
    if found is None:
        return await _fetch_printed(client, bucket, key)
    if found["format"] != 1 and job_id is not None and found["job_id"] not in (None, job_id):
        return Report(succeeded=False, of_job=found["job_id"])
    if found["signature"] in _REFUSED_SIGNATURES:
        why = _REFUSED_SIGNATURES[found["signature"]]
        raise errors.ResultError(
            f"The result s3://{bucket}/{key} was refused: the task's job did not write it ({why}). Who can write to "
            "this bucket?",
            bucket=bucket,
            key=key,
        )
    if found["format"] == 1:
        try:
            printed = await _fetch_printed(client, bucket, key)
        except errors.AWSBatchError as error:  # the result itself is there
            _log.warning("What the function printed cannot be read: %s", error)
            printed = Report(succeeded=True, stderr=f"{error.message}\n")
        bare = {"bare": found["size"], "reader": found["reader"]}
        return replace(printed or Report(succeeded=True), succeeded=True, **bare)
    return Report(
        succeeded=found["status"] == "succeeded",
        stdout=found["stdout"],
        stderr=found["stderr"],
        traceback=found["traceback"] or "",
        exception=found["exception"],
        output=found["output"],
        output_hash=_output_hash(found),
        attempt=found["attempt"],
        interrupted=found["status"] == "terminated",
        python=found["python"],
    )


def _output_hash(found: dict[str, Any]) -> transfer.OutputHash | None:
    """The hash that an envelope has of an output that is an object of its own, the runner's or an older one's."""
    if found["output_blake3"] is not None:
        return transfer.OutputHash("blake3", found["output_blake3"])
    return transfer.OutputHash("sha256", found["output_sha256"]) if found["output_sha256"] is not None else None


async def fetch_last_words(client: Client, bucket: str, key: str, job_id: str) -> tuple[Report | None, str]:
    """Read the report of a failed job; one that cannot be read must not hide why the job failed.

    Args:
        client: Connection to use.
        bucket: Name of the bucket.
        key: Key of the result.
        job_id: The job.

    Returns:
        The report, or None if there is none; and why it could not be read, or nothing.
    """
    try:
        report = await fetch_report(client, bucket, key, job_id)
    except errors.AWSBatchError as error:
        return None, f"What it may have reported cannot be read: {error.message}."
    return (None if report is None or report.of_job else report), ""


async def fetch_result(client: Client, bucket: str, key: str, report: Report, dispatch_id: str | None = None) -> Any:
    """Fetch the result itself, still serialised by Covalent.

    Args:
        client: Connection to use.
        bucket: Name of the bucket.
        key: Key of the result.
        report: What `fetch_report` returned for it.
        dispatch_id: The dispatch whose tasks may refer to a result that has an object of its own, as that stays.

    Returns:
        A `TransportableObject`.

    Raises:
        ResultError: It is missing, corrupt, or not to be trusted.
    """
    try:
        if report.bare is not None:
            return await threads.run(report.bare, transfer.load_bare, client, bucket, key, report.reader)
        if report.output is None:
            place = output_key(key)
            noted = partial(sharing.note_output, (client, bucket, dispatch_id), place) if dispatch_id else None
            return await threads.run(
                threads.LARGE_BYTES, transfer.load_output, client, bucket, place, report.output_hash, noted
            )
        file = _SizedBytes(report.output)
        return (
            archive.load(file) if file.size < _SMALL_RESULT_BYTES else await threads.run(file.size, archive.load, file)
        )
    except FileNotFoundError as error:
        raise errors.ResultError(
            f"{error}: the job succeeded, but its result was removed before it was read."
        ) from error
    except (ValueError, EOFError) as error:
        raise errors.ResultError(
            f"The result s3://{bucket}/{key} is corrupt: {one_line(error, _MAX_REASON_CHARS)}.", bucket=bucket, key=key
        ) from error


def _may_be_its_reason(report: Report, job: Job) -> bool:
    """Whether AWS Batch tells no other reason than what the program left."""
    # A node that failed by itself may be ended with the job before its process has.
    failed_before = job.cause == "terminated" and "#" in job.id and not report.interrupted
    return job.cause in _UNSPECIFIC_CAUSES or failed_before


async def failure(
    client: Client, settings: Settings, job: Job, report: Report | None, unread: str = ""
) -> errors.JobFailedError:
    """Explain a job that failed.

    Args:
        client: Connection to use.
        settings: The task's options.
        job: The job as it ended.
        report: What its program said, if anything.
        unread: Why that could not be read, if so.

    Returns:
        The error to raise. Its message is the function's own traceback where an exception ended the last attempt, else
        a sentence, followed by the log's last lines where the program could not report.
    """
    known = details(job)
    if report and report.traceback and _is_of_last_attempt(report, job) and _may_be_its_reason(report, job):
        if report.python and _minor(report.python) != _minor(platform.python_version()):
            hint = f"The container runs Python {report.python} and this server {platform.python_version()}"
            report = replace(report, traceback=f"{report.traceback}\n{hint}: their minor versions must be the same.")
        if job.attempts > 1:
            report = replace(report, traceback=f"{report.traceback}\n{_attempts_note(settings, job)}")
        return errors.JobFailedError(report.traceback, exception=report.exception, **{**known, "cause": "exception"})
    silent = report is None and not unread
    message = job.sentence(
        float(f"{settings.memory_mib / 1024:.4g}"),
        settings.time_limit,
        _PACKAGED_BY.format_map(transfer.versions()) if silent else None,
    )
    if job.cause == "image_unavailable":
        message = " ".join(filter(None, [message, await _fetch_image_problem(client, job)]))
        if prepare.forget_image(job.image or ""):
            message += " It was made of this server's packages; if it was deleted, the next task makes it again."
    if unread:
        message = f"{message} {unread}"
    if report is None:
        message = "\n".join([message, *await _log_tail(client, settings, job)])
    return errors.JobFailedError(message + console(settings, job), **known)


def console(settings: Settings, job: Job) -> str:
    """A line with the way to the job's page in AWS's console; empty where there is no such page.

    Args:
        settings: The task's options.
        job: The job.
    """
    return f"\nThe job in AWS's console: {job.console}" if job.console and not settings.endpoint_url else ""


def details(job: Job) -> dict[str, Any]:
    """The details of a job for an error.

    Args:
        job: The job.
    """
    return {
        "job_id": job.id,
        "queue": job.queue,
        "attempts": job.attempts,
        "exit_code": job.exit_code,
        "status_reason": job.status_reason,
        "container_reason": job.container_reason,
        "cause": job.cause,
        "console": job.console,
    }


def _attempts_note(settings: Settings, job: Job) -> str:
    said = f"The job failed in all {job.attempts} attempts (retry_attempts={settings.retry_attempts})."
    if settings.retry_on == "any":
        said += ' With retry_on="infrastructure" an exception of the function is not tried again.'
    return said


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _is_of_last_attempt(report: Report, job: Job) -> bool:
    """Whether the last attempt wrote the report: an earlier one does not explain why a later one was killed."""
    return report.attempt is None or job.attempts == 0 or report.attempt >= job.attempts


async def _fetch_printed(client: Client, bucket: str, key: str) -> Report | None:
    """What the public image's program leaves beside the result, also on failure."""
    found = await client.printed(bucket, io_output_key(key))
    if found is None:
        return None
    stdout, stderr, traceback, exception = found
    return Report(succeeded=False, stdout=stdout, stderr=stderr, traceback=traceback or "", exception=exception)


class _SizedBytes(io.BytesIO):
    """Bytes as a file whose length is known."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.size = len(data)


async def _log_tail(client: Client, settings: Settings, job: Job) -> list[str]:
    """The last lines of the last attempt's log. A log that cannot be read must not hide the cause."""
    if job.pod:
        place = f"what it printed is in the log of your cluster, if that keeps one ({job.pod})"
        return [f"AWS Batch has no log of a pod: {place}."]
    if not job.log_stream:
        return []
    try:
        tail = client.log_tail(settings.batch_job_log_group_name, job.log_stream, _LOG_TAIL_LINES)
        lines = await asyncio.wait_for(tail, _DETAIL_TIMEOUT_SECONDS)
    except errors.AccessError as error:
        place = f"log group {settings.batch_job_log_group_name}, stream {job.log_stream}"
        return [f"Its log ({place}) may not be read here: {error.message}"]
    except (errors.AWSBatchError, asyncio.TimeoutError) as error:
        _log.info("no log for job %s: %s", job.id, error)
        return []
    return ["The last lines of its log:", *(f"  {printable(line, _MAX_LINE_CHARS)}" for line in lines)] if lines else []


async def _fetch_image_problem(client: Client, job: Job) -> str:
    try:
        problem = await asyncio.wait_for(client.image_problem(job.image or ""), _DETAIL_TIMEOUT_SECONDS)
    except (errors.AWSBatchError, asyncio.TimeoutError) as error:
        _log.info("ECR does not tell about the image of job %s: %s", job.id, error)
        return ""
    return f"{problem[0].upper()}{problem[1:]}." if problem else ""
