"""Names that the dispatcher and the container agree on: those of the public plugin, so that its images work."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Any

FUNC_FILENAME = "func-{dispatch_id}-{node_id}.pkl"
RESULT_FILENAME = "result-{dispatch_id}-{node_id}.pkl"
JOB_NAME = "covalent-batch-{dispatch_id}-{node_id}"

_JOB_NAME = re.compile(re.escape(JOB_NAME.partition("{")[0]) + r"(?P<dispatch>.+?)-(?P<node>-?\d+)")

BUCKET_OWNER = "COVALENT_AWSBATCH_BUCKET_OWNER"
"""Variable of the job: account that has to own the bucket, else the runner neither reads nor writes there."""

KMS_KEY = "COVALENT_AWSBATCH_KMS_KEY_ID"
"""Variable of the job: KMS key for what the runner writes. The public image's program knows neither of them."""

SENDER_METADATA = "covalent-awsbatch-"
"""Prefix of the function object's S3 user metadata: the sender's versions of `python`, `cloudpickle`, `covalent`."""

REFERENCES_METADATA = "covalent-awsbatch-references"
"""S3 user metadata of the function's object: bytes of the list of `references` that precedes the pickle, if any."""

SIGNING_KEY = "COVALENT_AWSBATCH_SIGNING_KEY"
"""Variable of the job: key in hexadecimal digits, with which the runner signs what it writes."""

ENVIRONMENT = "COVALENT_AWSBATCH_ENVIRONMENT"
"""Variable of the definition: keys of the objects that hold the job's packages, with spaces between."""

ENVIRONMENT_PYTHON = "COVALENT_AWSBATCH_PYTHON"
"""Variable of the definition: minor version of Python that they are for, such as `3.11`."""

PACKAGES = "COVALENT_AWSBATCH_PACKAGES"
"""Variable of the definition: key of the object that lists those of the function's packages."""

INSTALLED = "COVALENT_AWSBATCH_INSTALLED"
"""Variable of the definition: fingerprints of what `DepsPip` asks for and the environment has, with spaces between."""

CHECKPOINT = "COVALENT_AWSBATCH_CHECKPOINT"
"""Variable of the job: seconds after which the function's checkpoint is stored again; without it there is none."""

SPOT_NOTICE = "COVALENT_AWSBATCH_SPOT_NOTICE"
"""Variable of the job: set where the runner asks EC2 whether the machine is to be taken back."""

NODE_RESULTS = "COVALENT_AWSBATCH_NODE_RESULTS"
"""Variable of a job of several nodes: `all` if node 0 has to wait for what the others leave."""

ATTEMPTS_BEFORE = "COVALENT_AWSBATCH_ATTEMPTS_BEFORE"
"""Variable of a job of several nodes: how many attempts earlier jobs of its task have had; 0 without it."""

PREVIOUS_JOB = "COVALENT_AWSBATCH_PREVIOUS_JOB"
"""Variable of a job that follows another one of its task: that one's id."""

ENVIRONMENT_DIRECTORY = "COVALENT_AWSBATCH_DIRECTORY"
"""Variable that a user may set: where in the container they are unpacked; else `/opt`, `/tmp` or `/var/tmp`."""

FORMAT_METADATA = "covalent-awsbatch-format"
"""S3 user metadata that marks an envelope of the runner; the public image's program sets none."""

ENVELOPE_FORMAT = "3"
"""Its value. The runner of version 1.0.0 wrote 2, a pickled dict, which is still read."""

SIGNATURE_METADATA = "covalent-awsbatch-signature"
"""S3 user metadata of an envelope: HMAC-SHA256 of its content with the job's key, in hexadecimal digits."""

USAGE_METADATA = "covalent-awsbatch-usage"
"""S3 user metadata of an envelope: JSON with what the attempt used, for a report. Nothing else relies on it.

`attempt`; `peak_rss_bytes` of its largest process; `container_peak_bytes` of all of it, with files that Linux had in
memory; `pull_started_at` and `pull_stopped_at` in seconds since 1970. What is not known is absent.
"""


def of_task(template: str, task_metadata: Mapping[str, Any]) -> str:
    """The name of a task's object or job.

    Args:
        template: Such as `JOB_NAME`.
        task_metadata: `dispatch_id` and `node_id`.
    """
    return template.format(dispatch_id=task_metadata["dispatch_id"], node_id=task_metadata["node_id"])


def parted_job_name(name: str) -> tuple[str, int] | None:
    """Dispatch and node that a job's name is made of; None if it is no job of the executor.

    Args:
        name: The job's name.
    """
    found = _JOB_NAME.fullmatch(name)
    return (found["dispatch"], int(found["node"])) if found else None


def io_output_key(result_key: str) -> str:
    """Key under which the public image's program leaves `[stdout, stderr, traceback, exception]` as JSON.

    Args:
        result_key: Key of the result, such as `result-X-1.pkl`.

    Returns:
        Such as `io_output-X-1.json`.
    """
    stem = result_key.rsplit(".", maxsplit=1)[0]
    return stem.replace("result", "io_output") + ".json"


def task_keys(dispatch_id: str, node_id: int, nodes: int = 1, attempts: int = 1) -> list[str]:
    """Keys of all objects that a task can have in the bucket.

    Args:
        dispatch_id: The task's dispatch.
        node_id: Its number there.
        nodes: On how many nodes its job runs.
        attempts: How many attempts it can have.
    """
    function = FUNC_FILENAME.format(dispatch_id=dispatch_id, node_id=node_id)
    result = RESULT_FILENAME.format(dispatch_id=dispatch_id, node_id=node_id)
    keys = [function, result, output_key(result), io_output_key(result), checkpoint_key(result)]
    for node in range(1, nodes):
        keys.append(checkpoint_key(result, node))
        for attempt in range(1, attempts + 1):
            left = node_result_key(result, node, attempt)
            keys += [left, output_key(left)]
    return keys


def node_result_key(result_key: str, node: int, attempt: int) -> str:
    """Key of what a node of a job leaves; node 0 leaves the task's own result.

    Args:
        result_key: Key of the task's result, such as `result-X-1.pkl`.
        node: The node's number in the job.
        attempt: Which attempt of the task it is, from 1.

    Returns:
        Such as `result-X-1.node-2.attempt-1.pkl`.
    """
    stem, suffix = posixpath.splitext(result_key)
    return f"{stem}.node-{node}.attempt-{attempt}{suffix}" if node else result_key


def checkpoint_key(result_key: str, node: int = 0) -> str:
    """Key under which the runner stores the function's checkpoint.

    Args:
        result_key: Key of the task's result, such as `result-X-1.pkl`.
        node: The number of the job's node; each has its own.

    Returns:
        Such as `checkpoint-X-1.tar`, or `checkpoint-X-1.node-2.tar`.
    """
    stem = posixpath.splitext(result_key)[0].replace("result", "checkpoint", 1)
    return f"{stem}.node-{node}.tar" if node else f"{stem}.tar"


def output_key(result_key: str) -> str:
    """Key under which the runner leaves an output that is too large for its envelope.

    Args:
        result_key: Key of the result, such as `result-X-1.pkl`.

    Returns:
        Such as `result-X-1.output`.
    """
    return posixpath.splitext(result_key)[0] + ".output"


def shared_key(dispatch_id: str, upload: str, sha256: str) -> str:
    """Key of a content that several tasks of a dispatch share.

    Args:
        dispatch_id: The dispatch.
        upload: 16 hexadecimal digits that no other upload has.
        sha256: Hexadecimal digits of its hash.
    """
    return f"shared-{dispatch_id}-{upload}-{sha256}"
