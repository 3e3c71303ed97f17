"""The embedded AWS in the foreground: what `covalent-awsbatch local` does."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import toml

from . import LocalAWS, resources
from .configuration import configured, runs_directory
from .port import chosen
from .progress import Progress
from .run_directory import run_directory

_DEFAULT_REGION = "us-east-1"

REFRESH = 0.3
"""Seconds between two refreshes of the jobs."""


def run_local(*, port: int | None, region: str, max_vcpus: int, configure: bool) -> None:
    """Runs the embedded AWS and shows its jobs until SIGINT or SIGTERM.

    Args:
        port: Port to listen on; 0 for a free one, None for the one that was given last, or else a free one.
        region: The only region it knows.
        max_vcpus: vCPUs of its compute environment.
        configure: Point Covalent's configuration file at it, and restore the file at the end. Where this process is
            killed, the next embedded AWS of this user restores it when it starts.
    """
    progress = Progress()
    with (
        _until_signalled() as ended,
        # The configuration may name the credentials file after this run was killed. Nobody else must be able to replace
        # it then, so it is not in the shared temporary directory.
        run_directory(runs_directory()) as directory,
        _started(progress, chosen(port), region, max_vcpus, directory / "credentials") as aws,
    ):
        progress.line("aws", f"embedded AWS at {aws.endpoint_url}, region {region}, {max_vcpus} vCPUs")
        options = {**aws.options, **({} if region == _DEFAULT_REGION else {"region": region})}
        if configure:
            options = {**_complete(region), **options}
        with configured(options, directory) if configure else contextlib.nullcontext() as path:
            section = toml.dumps({"executors": {"awsbatch": options}}).strip()
            if path is None:
                progress.text("\nTo point the executor at it, in Covalent's configuration:\n")
            else:
                progress.text(f"\nUntil the end {path} says:\n")
            progress.text(section)
            progress.text(f"\nNext: {'' if configure else 'write this, then '}covalent start")
            progress.text("Ctrl-C ends it.\n")
            while not ended.wait(REFRESH):
                progress.jobs(aws.jobs())
            progress.jobs(aws.jobs())
    progress.line("aws", "ended")


@contextlib.contextmanager
def _started(progress: Progress, port: int, region: str, max_vcpus: int, credentials: Path) -> Iterator[LocalAWS]:
    """The embedded AWS, with a spinner until it answers."""
    aws = LocalAWS(port=port, region=region, max_vcpus=max_vcpus, credentials=credentials)
    with progress.console.status("starting the embedded AWS"):
        aws.start()
    try:
        yield aws
    finally:
        aws.stop()


def _complete(region: str) -> dict[str, str]:
    """All options that name AWS resources: an existing section may name resources that only the real AWS has."""
    return {
        "profile": "default",
        "region": region,
        "s3_bucket_name": resources.BUCKET,
        "batch_queue": resources.QUEUE,
        "batch_execution_role_name": resources.EXECUTION_ROLE,
        "batch_job_role_name": resources.JOB_ROLE,
        "batch_job_log_group_name": resources.LOG_GROUP,
    }


@contextlib.contextmanager
def _until_signalled() -> Iterator[threading.Event]:
    """An event that SIGINT or SIGTERM sets, for an orderly end; a second signal interrupts."""
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        if ended.is_set():
            signal.default_int_handler(number, frame)
        ended.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
