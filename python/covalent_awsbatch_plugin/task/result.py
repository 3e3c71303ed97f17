"""The result of a job that succeeded, or why there is none to be had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from covalent_awsbatch_plugin import errors
from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.agreement import naming
from covalent_awsbatch_plugin.options.settings import Settings

from . import nodes, retrieval, threads
from .own_nodes import values


async def fetch(connection: Client, settings: Settings, task_metadata: Mapping[str, Any]) -> tuple[Any, str, str]:
    """Bring the result of a job that is over.

    Args:
        connection: Connection to use.
        settings: The task's options.
        task_metadata: `dispatch_id` and `node_id`, and `job_id` where it is known.

    Returns:
        The result, and what the function printed to stdout and stderr.

    Raises:
        ResultError: There is none, or it cannot be used.
    """
    bucket, key = settings.s3_bucket_name, naming.of_task(naming.RESULT_FILENAME, task_metadata)
    report = await retrieval.fetch_report(connection, bucket, key, task_metadata.get("job_id"))
    if report is None or report.of_job or not report.succeeded:
        raise errors.ResultError(_absence(settings, key, task_metadata, report), bucket=bucket, key=key)
    dispatch_id = task_metadata["dispatch_id"] if settings.s3_cleanup == "never" else None
    returned = await retrieval.fetch_result(connection, bucket, key, report, dispatch_id)
    if settings.node_results == "all":
        returned = await _of_all_nodes(connection, settings, task_metadata, key, (report, returned))
    return returned, report.stdout, report.stderr


async def _of_all_nodes(
    connection: Client,
    settings: Settings,
    task_metadata: Mapping[str, Any],
    key: str,
    main: tuple[retrieval.Report, Any],
) -> Any:
    """A list of what each node returned, made without loading anything."""
    report, returned = main
    others = []
    if settings.nodes > 1:
        others = await nodes.results(connection, settings, task_metadata.get("job_id"), key, report)
    return await threads.run(threads.LARGE_BYTES, values.list_of, returned, *others)


def _absence(settings: Settings, key: str, task_metadata: Mapping[str, Any], report: retrieval.Report | None) -> str:
    """Why there is no result, as a sentence."""
    location = f"s3://{settings.s3_bucket_name}/{key}"
    if report and report.of_job:
        return (
            f"{location} holds what job {report.of_job} left and not the result of job "
            f"{task_metadata.get('job_id')}, which succeeded: do two jobs run under the same name?"
        )
    if "job_id" in task_metadata:
        image = f"container_image_uri ({settings.image})"
        role = f"the job role {settings.batch_job_role_name}"
        if settings.job_definition:
            image, role = f"the image of job definition {settings.job_definition}", "its job role"
        return (
            f"The job succeeded but left no result at {location}: check that {image} is an image for Covalent and that "
            f"{role} may write to the bucket."
        )
    why = ": the task has not run or not ended, its image left nothing, or that is gone."
    if report is not None:
        why = f", only the report that the function failed ({report.exception or 'it does not say how'})."
    return f"There is no result at {location}{why}"
