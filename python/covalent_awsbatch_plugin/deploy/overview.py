"""Where a deployment is: its queue, bucket and region, their pages in AWS's console, and what to type next."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import files

_CONSOLES = {"cn-": "console.amazonaws.cn", "us-gov-": "console.amazonaws-us-gov.com", "": "console.aws.amazon.com"}
"""Hosts of AWS's console by how a region begins."""

UP, INCOMPLETE, DOWN = "up", "incomplete", "down"


def places(executor: Mapping[str, Any]) -> dict[str, str]:
    """Queue, bucket and region, and links to them, by what they are.

    Args:
        executor: Options of the executor as the deployment made them; may lack some.
    """
    region, queue, bucket = (str(executor.get(name) or "") for name in ("region", "batch_queue", "s3_bucket_name"))
    shown = {"queue": queue, "bucket": bucket, "region": region}
    if region and not executor.get("endpoint_url"):
        host = next(host for start, host in _CONSOLES.items() if region.startswith(start))
        base = f"https://{region}.{host}"
        shown["jobs"] = f"{base}/batch/home?region={region}#jobs"
        shown["objects"] = f"{base}/s3/buckets/{bucket}?region={region}"
    return {name: value for name, value in shown.items() if value}


def directories(parent: Path) -> list[Path]:
    """The deployments that keep their state below a directory, by name.

    Args:
        parent: That of the default directories.
    """
    return sorted(path.parent for path in parent.glob(f"*/{files.VARIABLES}"))


def last_state(directory: Path) -> str:
    """Whether a deployment was up when something was done with it last, as its files tell. Nothing is asked.

    Args:
        directory: Of the deployment.
    """
    if (directory / files.UNFINISHED).exists():
        return INCOMPLETE
    return UP if (directory / files.EXECUTOR).exists() else DOWN
