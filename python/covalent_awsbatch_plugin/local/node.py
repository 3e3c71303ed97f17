"""The nodes of a job that has several: each a record and a process of its own, which begin and end with the job.

https://docs.aws.amazon.com/batch/latest/userguide/job-lifecycle.html: the main node is launched first, and the others
when it runs. Its end is the end of the job, and stops them. When another node dies, nothing happens.
"""

from __future__ import annotations

import itertools
import logging
import os
import socket
import sys
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from moto.batch.models import ComputeEnvironment
from moto.batch.utils import JobStatus

from .api import api_lock
from .held_nodes import HeldNodes
from .job import ENDED, LocalJob
from .retry import Outcome
from .scheduler import Runner

if TYPE_CHECKING:
    from .job import Stoppable

MAIN_ENDED = "The main node of the job has ended"
"""Why the other nodes were stopped; the service's words for this are not known."""

_log = logging.getLogger(__name__)
_numbers = itertools.count(1)


class LocalNode(LocalJob):
    """A node of a job. What there is to say of the main node is said of the job, too.

    Args:
        job: The job.
        index: The node's number in it.
        is_main: Whether it is the main node.

    Attributes:
        is_up: Set when its program runs, and when it never will.
        address: Its own on this machine's loopback; empty before it is placed.
        port: Of the main node, one for the nodes to meet at.
    """

    def __init__(self, job: LocalJob, index: int, is_main: bool) -> None:
        super().__init__(
            job.job_name,
            job.job_definition,
            job.job_queue,
            job.backend,
            log_backend=job.backend.logs_backend,
            container_overrides=job.container_overrides,
            eks_properties_override=None,
            depends_on=None,
            parameters=job.parameters,
            all_jobs=job.all_jobs,
            timeout=job.timeout,
            array_properties={},
            provided_job_id=f"{job.job_id}#{index}",
        )
        job.all_jobs[self.job_id] = self
        self.job = job
        self.is_up = threading.Event()
        self.index = index
        self.is_main = is_main
        self.address = ""
        self.port = 0

    @property
    def attempt(self) -> int:
        """The number of the job's attempt: this node may have missed an earlier one."""
        return self.job.attempt

    @property
    def attempt_seconds(self) -> int | None:
        """The time limit is the whole job's, so it is the main node's."""
        return super().attempt_seconds if self.is_main else None

    @property
    def service_variables(self) -> dict[str, str]:
        """What Batch sets of the node (https://docs.aws.amazon.com/batch/latest/userguide/mnp-env-vars.html)."""
        main, _ = main_of(self.job)
        found = {
            "AWS_BATCH_JOB_NODE_INDEX": str(self.index),
            "AWS_BATCH_JOB_NUM_NODES": str(len(self.job.nodes)),
            "AWS_BATCH_JOB_MAIN_NODE_INDEX": str(main.index),
        }
        if not self.is_main:
            found["AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS"] = main.address
        # Batch sets neither, but there each node has addresses and ports to itself.
        shared = {"MASTER_ADDR": main.address, "MASTER_PORT": str(main.port)}
        return {**found, **{name: value for name, value in shared.items() if name not in self.environment}}

    def begin_again(self) -> None:
        """Notes that an attempt of the job begins, with another address."""
        self.status = JobStatus.STARTING if self.is_main else JobStatus.RUNNABLE
        self.end_reason = None
        self.is_up.clear()
        self.address = _next_address()
        self.port = _free_port()

    def begin_attempt(self, task_arn: str, instance_arn: str) -> None:
        """Notes where it is placed."""
        super().begin_attempt(task_arn, instance_arn)
        self.status = JobStatus.STARTING
        if self.is_main:
            self.job.begin_attempt(task_arn, instance_arn)

    def begin_running(self, process: Stoppable, log_stream: str | None) -> None:
        """Notes that its program runs."""
        super().begin_running(process, log_stream)
        if self.is_main and self.job.process is not None:
            self.job.begin_running(self.job.process, log_stream)
        self.is_up.set()

    def describe(self) -> dict[str, Any]:
        """Returns what DescribeJobs says of the node."""
        described = {**super().describe(), "nodeDetails": {"nodeIndex": self.index, "isMainNode": self.is_main}}
        del described["nodeProperties"]
        return described

    def describe_short(self) -> dict[str, Any]:
        """Returns what ListJobs says of the node."""
        summary = {"nodeIndex": self.index, "isMainNode": self.is_main, "numNodes": len(self.job.nodes)}
        return {**super().describe_short(), "nodeProperties": summary}

    def _describe_container(self) -> dict[str, Any]:
        interfaces = [{"privateIpv4Address": self.address}] if self.address else []
        return {**super()._describe_container(), "networkInterfaces": interfaces}


def give_nodes(job: LocalJob, count: int, main: int) -> None:
    """Makes the nodes of a job that was submitted.

    Args:
        job: The job.
        count: How many nodes it has.
        main: The number of its main node.
    """
    job.nodes = [LocalNode(job, index, index == main) for index in range(count)]


def main_of(job: LocalJob) -> tuple[LocalNode, list[LocalNode]]:
    """The main node of a job that has nodes, and the others."""
    nodes = [node for node in job.nodes if isinstance(node, LocalNode)]
    [main] = [node for node in nodes if node.is_main]
    return main, [node for node in nodes if node is not main]


class NodeRunner:
    """Runs an attempt of a job: of its container, or of all its nodes.

    Args:
        run_attempt: Runs an attempt of one container.
        stop_grace: Seconds between SIGTERM and SIGKILL for nodes that are stopped, if the job does not say.
        held: Which nodes are not to begin.
    """

    def __init__(self, run_attempt: Runner, stop_grace: float, held: HeldNodes) -> None:
        self._run_attempt = run_attempt
        self._stop_grace = stop_grace
        self._held = held
        self._stopping: dict[str, list[threading.Thread]] = {}

    def __call__(self, job: LocalJob, environment: ComputeEnvironment, cleanup: ExitStack) -> Outcome:
        """Runs the attempt and returns how it ended, which is how the main node ended."""
        if not job.nodes:
            return self._run_attempt(job, environment, cleanup)
        for thread in self._stopping.pop(job.job_id, []):  # of the attempt before
            thread.join()
        main, others = main_of(job)
        group = _Group(job)
        with api_lock:
            job.process = group
            for node in (main, *others):
                node.begin_again()
            if job.end_reason is not None:
                group.stop(0)
        threads = [
            threading.Thread(target=self._run_other, args=(node, main, environment), daemon=True, name=node.job_id)
            for node in others
        ]
        self._stopping[job.job_id] = threads
        cleanup.callback(_join, threads)
        for thread in threads:
            thread.start()
        try:
            outcome = self._run(main, environment, cleanup)
        finally:
            with api_lock:
                group.stop(self._stop_grace if job.stop_timeout is None else job.stop_timeout)
            main.is_up.set()
        return outcome

    def _run_other(self, node: LocalNode, main: LocalNode, environment: ComputeEnvironment) -> None:
        main.is_up.wait()
        if not self._held.wait_until_free(node, node.index):
            return
        with ExitStack() as cleanup:
            self._run(node, environment, cleanup)

    def _run(self, node: LocalNode, environment: ComputeEnvironment, cleanup: ExitStack) -> Outcome:
        try:
            outcome = self._run_attempt(node, environment, cleanup)
        except Exception as error:  # noqa: BLE001  (whatever it is, the node must end)
            _log.exception("node %s could not be run", node.job_id)
            outcome = Outcome(None, "Task failed to start", f"CannotStartContainerError: {error}")
        with api_lock:
            node.end_attempt(outcome)
            node.end(outcome.succeeded, outcome.status_reason)
        return outcome


class _Group:
    """What runs on all nodes of a job, to be ended together."""

    def __init__(self, job: LocalJob) -> None:
        self._job = job

    def stop(self, grace: float) -> None:
        """Ends every node that has not ended; see `JobProcess.stop`."""
        for node in self._job.nodes:
            if node.end_reason is None and node.status not in ENDED:
                node.end_reason = self._job.end_reason or MAIN_ENDED
            if node.process:
                node.process.stop(grace)

    def kill(self) -> None:
        """Kills what did not end."""
        for node in self._job.nodes:
            if node.process:
                node.process.kill()


def _free_port() -> int:
    """A port that is free on all addresses of this machine, whose nodes share one network."""
    with socket.socket() as listener:
        listener.bind(("", 0))
        return int(listener.getsockname()[1])


def _next_address() -> str:
    """An address on loopback that no other node has, also none of another embedded AWS on this machine."""
    if sys.platform != "linux":
        return "127.0.0.1"  # the only one that is there by itself
    number = next(_numbers)
    return f"127.{os.getpid() % 254 + 1}.{number // 254 % 256}.{number % 254 + 1}"


def _join(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join()
