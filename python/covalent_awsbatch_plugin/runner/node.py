"""The node that a container is, of a job of several: its variables, and where it leaves what."""

from __future__ import annotations

import os
import socket

from covalent_awsbatch_plugin.agreement.naming import ATTEMPTS_BEFORE, node_result_key

_ELSEWHERE = ("192.0.2.1", 9)  # RFC 5737: nobody's address, to which nothing is sent
_PORT = "29500"  # PyTorch's own


def introduce() -> None:
    """Set the variables by which PyTorch and others find the nodes, for one process a node."""
    count = os.environ.get("AWS_BATCH_JOB_NUM_NODES")
    if not count:
        return
    own = str(index())
    os.environ.setdefault("MASTER_ADDR", os.environ.get("AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS") or _address())
    os.environ.setdefault("MASTER_PORT", _PORT)
    os.environ.update(NODE_RANK=own, NNODES=count, RANK=own, WORLD_SIZE=count, LOCAL_RANK="0")


def index() -> int:
    """The number of the node; 0 for the main node, and in a job of one container."""
    return int(os.environ.get("AWS_BATCH_JOB_NODE_INDEX") or 0)


def count() -> int:
    """How many nodes the job has."""
    return int(os.environ.get("AWS_BATCH_JOB_NUM_NODES") or 1)


def job_id() -> str | None:
    """The job's id, with the number of a node that is not the main one; None outside of AWS Batch."""
    job = os.environ.get("AWS_BATCH_JOB_ID", "").partition("#")[0]
    return f"{job}#{index()}" if job and index() else job or None


def result_key(task_key: str, node: int) -> str:
    """Key of what a node leaves in this attempt.

    Args:
        task_key: Key of the task's result.
        node: The number of the node.
    """
    before, attempt = os.environ.get(ATTEMPTS_BEFORE, ""), os.environ.get("AWS_BATCH_JOB_ATTEMPT", "")
    return node_result_key(task_key, node, int(before or 0) + int(attempt or 1))


def _address() -> str:
    """The address of this machine from which it reaches others; AWS Batch tells it to the other nodes alone."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ELSEWHERE)
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])
