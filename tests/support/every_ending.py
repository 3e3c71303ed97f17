"""Every ending of a job, and what its user is to read."""

from __future__ import annotations

import platform
from dataclasses import dataclass, replace
from typing import Any

import cloudpickle
import covalent
from lab import BUCKET, endings, results

from covalent_awsbatch_plugin.errors import AWSBatchError, JobFailedError, ResultError

OPTIONS = {"memory": 3.75, "time_limit": 300, "retry_attempts": 3, "poll_freq": 1}

# Programs that do not sign run from images of their own.
PUBLIC_IMAGE = {"container_image_uri": "public:stable"}
VERSION_1_0_0 = {"container_image_uri": "ours:1.0.0"}
FOREIGN_IMAGE = {"container_image_uri": "somebody/elses:2"}

# What an image without a word is told to be compared with, and how.
COMPARED = (
    "its image's Python, cloudpickle or Covalent differs from this dispatcher's",
    f"Python {platform.python_version()}, cloudpickle {cloudpickle.__version__}, Covalent {covalent.__version__}",
    "docker run --rm --entrypoint python somebody/elses:2 -c ",
)


@dataclass(frozen=True)
class Row:
    """An ending and what its user is to read.

    Attributes:
        ending: Of the job.
        error: Class of the exception; None for a result.
        cause: `cause` of a failed job.
        words: Parts of the message.
        options: Of the executor, beside `OPTIONS`.
    """

    ending: Any
    error: type[BaseException] | None
    cause: str = ""
    words: tuple[str, ...] = ()
    options: Any = None


ROWS = {
    "success": Row(endings.succeed(), None),
    "success-apart": Row(endings.succeed(results.Envelope(apart=True)), None),
    "success-apart-of-an-older-runner": Row(endings.succeed(results.Envelope(apart=True, hash="sha256")), None),
    "success-of-version-1": Row(endings.succeed(results.Envelope(pickled=True)), None, options=VERSION_1_0_0),
    "legacy-success": Row(endings.succeed(results.Legacy()), None, options=PUBLIC_IMAGE),
    "exception": Row(endings.raised(), JobFailedError, "exception", ("ValueError: 1 is too few", "task.py")),
    "legacy-exception": Row(
        endings.raised_legacy(), JobFailedError, "exception", ("ValueError: 1 is too few",), PUBLIC_IMAGE
    ),
    "exit-code": Row(
        endings.printing(endings.exited(3), "half way", "giving up"),
        JobFailedError,
        "exited",
        ("exited with code 3", "after 3 attempts", "giving up"),
    ),
    "silent-exit-1": Row(
        endings.printing(endings.exited(1), "half way"),
        JobFailedError,
        "exited",
        ("exited with code 1 after 3 attempts", *COMPARED, "half way"),
        FOREIGN_IMAGE,
    ),
    "silent-crash": Row(
        endings.exited(139),
        JobFailedError,
        "exited",
        ("exited with code 139", *COMPARED, "crashed in native code"),
        FOREIGN_IMAGE,
    ),
    "out-of-memory": Row(endings.out_of_memory(), JobFailedError, "out_of_memory", ("3.75 GB", "raise `memory`")),
    "time-limit": Row(endings.timed_out(), JobFailedError, "time_limit", ("300 s", "raise `time_limit`")),
    "spot": Row(endings.spot_reclaim(), JobFailedError, "host_lost", ("spot reclaim", "on-demand")),
    "spot-then-well": Row(endings.spot_reclaim(then=endings.succeed()), None),
    "fargate-spot": Row(endings.fargate_spot_reclaim(), JobFailedError, "host_lost", ("interrupted",)),
    "image-missing": Row(
        endings.image_missing(), JobFailedError, "image_unavailable", ("could not be pulled", "container_image_uri")
    ),
    "image-denied": Row(endings.image_denied(), JobFailedError, "image_unavailable", ("unauthorized",)),
    "docker-timeout": Row(endings.docker_timeout(), JobFailedError, "agent_trouble", ("DockerTimeoutError",)),
    "cannot-start": Row(endings.cannot_start(), JobFailedError, "agent_trouble", ("CannotStartContainerError",)),
    "role": Row(endings.role_not_assumable(), JobFailedError, "role_unusable", ("trust policy", "ecs-tasks")),
    "terminated": Row(endings.terminated(), JobFailedError, "terminated", ("Wrong queue, sorry",)),
    "not-inspected": Row(endings.not_inspected(), None),
    "not-inspected-without-result": Row(
        endings.not_inspected_without_result(), JobFailedError, "not_inspected", ("left no result", "run it again")
    ),
    "record-expired": Row(replace(endings.succeed(seconds=15), vanishes=0.0), None),
    "record-expired-without-result": Row(
        replace(endings.succeed(results.nothing, seconds=15), vanishes=0.0),
        JobFailedError,
        "vanished",
        ("no record", "left no result"),
    ),
    "record-expired-after-an-exception": Row(
        replace(endings.raised(seconds=15), vanishes=0.0), JobFailedError, "exception", ("ValueError: 1 is too few",)
    ),
    "not-inspected-after-an-exception": Row(
        endings.not_inspected(endings.raised().tries[0].result),
        JobFailedError,
        "exception",
        ("ValueError: 1 is too few",),
    ),
    "earlier-attempt-left-its-word": Row(
        endings.left_behind(), JobFailedError, "host_lost", ("lost the machine", "after 3 attempts")
    ),
    "third-time-lucky": Row(endings.succeed_at(3), None),
    "unknown": Row(
        endings.failed("Task failed to start", "SomethingNew: never seen", 9),
        JobFailedError,
        "unknown",
        ("Task failed to start", "SomethingNew: never seen", "exit code 9"),
    ),
    "without-result": Row(endings.without_result(), ResultError, words=("succeeded but left no result", BUCKET)),
    "of-another-job": Row(endings.of_another_job(), ResultError, words=("holds what job 00000000-",)),
    "corrupt": Row(endings.corrupt_envelope(), ResultError, words=("corrupt",)),
    "corrupt-legacy": Row(endings.corrupt_legacy(), ResultError, words=("corrupt",), options=PUBLIC_IMAGE),
    "other-python": Row(
        endings.other_python(),
        JobFailedError,
        "exception",
        ("unsupported pickle protocol", "runs Python 3.8.19"),
        {"retry_attempts": 1},
    ),
    "other-python-legacy": Row(
        endings.other_python_legacy(), ResultError, words=("unsupported pickle protocol: 9",), options=PUBLIC_IMAGE
    ),
    "planted": Row(
        endings.planted(b"cposix\nsystem\n(S'touch /tmp/planted'\ntR."),
        ResultError,
        words=("posix.system", "refused"),
        options=PUBLIC_IMAGE,
    ),
    "signed-with-another-key": Row(
        endings.succeed(results.Envelope(key="ab" * 32)),
        ResultError,
        words=("refused: the task's job did not write it (its signature is not the job's)", "Who can write"),
    ),
    "not-what-was-signed": Row(
        endings.succeed(results.Envelope(apart=True, fields={"output_blake3": "ab" * 32})),
        ResultError,
        words=("corrupt: it is not what the job wrote. Who can write",),
    ),
    "not-what-an-older-runner-signed": Row(
        endings.succeed(results.Envelope(apart=True, hash="sha256", fields={"output_sha256": "ab" * 32})),
        ResultError,
        words=("corrupt: it is not what the job wrote. Who can write",),
    ),
    "signed-with-an-unknown-hash": Row(
        endings.succeed(results.Envelope(apart=True, fields={"output_blake3": None, "output_later": "ab" * 32})),
        ResultError,
        words=("it has no hash of its output that this version knows; install a newer covalent-awsbatch-plugin",),
    ),
    "planted-envelope": Row(
        endings.planted(b"cposix\nsystem\n(S'true'\ntR.", {"covalent-awsbatch-format": "2"}),
        ResultError,
        words=("posix.system",),
    ),
    "poisoned-record": Row(endings.malformed(), AWSBatchError, words=("cannot be understood", "job")),
    "stuck": Row(
        replace(endings.stuck(status="SUBMITTED"), entry={"createdAt": 1_700_000_000_000}),
        JobFailedError,
        "stuck",
        (
            "was terminated because it had been SUBMITTED for",
            "the scheduler of AWS Batch has not looked at it",
            "run it",
        ),
    ),
    "never-started": Row(
        endings.stuck(endings.STUCK["resources"]),
        JobFailedError,
        "never_started",
        ("runnable_timeout=2 s", "2 vCPUs", "JOB_RESOURCE_REQUIREMENT"),
        {"runnable_timeout": 2},
    ),
}
