"""What goes with a deployment when it is deleted: the objects in its bucket, and the jobs in its queue."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from covalent_awsbatch_plugin.errors import AWSBatchError
from covalent_awsbatch_plugin.options.settings import DEFAULTS, Settings
from covalent_awsbatch_plugin.task.connection import client

_PLACES = ("profile", "region", "credentials", "endpoint_url", "s3_bucket_name", "batch_queue")
_ENDED = {"SUCCEEDED", "FAILED"}


def counted(executor: Mapping[str, Any]) -> list[str]:
    """A sentence on the objects and one on the live jobs; where one cannot be counted, why.

    Args:
        executor: Options of the executor as the deployment made them.
    """
    return asyncio.run(_counted(Settings(**{**DEFAULTS, **{name: executor[name] for name in _PLACES}})))


async def _counted(settings: Settings) -> list[str]:
    connection = client(settings, interactive=True)
    said = []
    try:
        objects, size = await connection.count_objects(settings.s3_bucket_name)
        said.append(f"Bucket {settings.s3_bucket_name} holds {_some(objects, 'object')}, {size / 1e6:,.1f} MB.")
    except AWSBatchError as error:
        said.append(f"How many objects there are could not be told: {error.message}")
    try:
        jobs = await connection.list_jobs(settings.batch_queue, "")
        live = sum(job["status"] not in _ENDED for job in jobs)
        said.append(f"Queue {settings.batch_queue} has {_some(live, 'live job')}{' that would end' if live else ''}.")
    except AWSBatchError as error:
        said.append(f"How many jobs there are could not be told: {error.message}")
    return said


def _some(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"
