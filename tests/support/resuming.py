"""A Covalent server that ends and is started again beside an embedded AWS, and electrons whose calls are counted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import covalent as ct
from covalent._dispatcher_plugins.local import LocalDispatcher

from covalent_awsbatch_plugin.local import JobSummary, LocalAWS
from covalent_awsbatch_plugin.local.covalent_server import CovalentServer
from covalent_awsbatch_plugin.options.settings import DEFAULTS

from .covalent_client import Client
from .holding import Holding

QUICK = {
    "container_image_uri": "team/jobs:1",
    "vcpu": 1,
    "memory": 0.5,
    "poll_freq": 1,
    "retry_attempts": 1,
    "time_limit": 1000,
}


@dataclass(frozen=True)
class Cloud:
    """An embedded AWS, and a server that ends and comes back.

    Attributes:
        aws: Outlives the server.
        server: The server.
        client: Of that server.
        gates: Directory of the files that electrons wait for; its name is the prefix of the objects that count calls.
        way: From the server to AWS.
    """

    aws: LocalAWS
    server: CovalentServer
    client: Client
    gates: Path

    way: Holding

    @property
    def bucket(self) -> str:
        """Where calls are counted."""
        return str(DEFAULTS["s3_bucket_name"])

    def electron(self, name: str, executor: Any = "awsbatch", gated: bool = False) -> Callable[..., Any]:
        """An electron that adds its arguments and notes each call in the bucket, before it waits for its gate."""
        return ct.electron(self.counted(name, gated), executor=executor)

    def counted(self, name: str, gated: bool = False) -> Callable[..., int]:
        """The function of such an electron."""
        return counted(name, self.bucket, self.gates, gated)

    def dispatch_chain(self, first: str, last: str) -> str:
        """Dispatches two electrons in a chain, and returns when the first was called, which waits for its gate."""
        begins, follows = self.electron(first, gated=True), self.electron(last)

        @ct.lattice(executor="local", workflow_executor="local")
        def workflow(number: int) -> Any:
            return follows(begins(number))

        dispatch_id = self.client.dispatch(workflow, 1)
        self.called(first)
        return dispatch_id

    def dispatch_held(self, points: Mapping[str, str], lattice: Any, *arguments: Any) -> str:
        """Dispatches, and returns when each of these electrons is held.

        Args:
            points: By name of an electron the point of `holding.POINTS`.
            lattice: What to dispatch.
            *arguments: Its arguments.
        """
        dispatch_id: str = ct.dispatch(lattice, disable_run=True)(*arguments)
        nodes = {node["name"]: node["id"] for node in self.graph(dispatch_id)}
        held = {f"{dispatch_id}-{nodes[name]}": point for name, point in points.items()}
        self.way.hold(held)
        LocalDispatcher.start(dispatch_id)
        self.client.until(lambda: self.way.held == set(held), f"{points} to be held", 60)
        return dispatch_id

    def open(self, *names: str) -> None:
        """Lets electrons of these names return."""
        for name in names:
            (self.gates / name).touch()

    def calls(self) -> Counter[str]:
        """How often each electron's function was called."""
        pages = (
            self.aws.client("s3")
            .get_paginator("list_objects_v2")
            .paginate(Bucket=self.bucket, Prefix=f"{self.gates.name}/")
        )
        return Counter(entry["Key"].split("/")[1] for page in pages for entry in page.get("Contents", ()))

    def called(self, *names: str) -> None:
        """Waits until functions of these names were called."""
        self.client.until(lambda: set(names) <= set(self.calls()), f"calls of {names}", 90)

    def jobs(self, dispatch_id: str) -> list[JobSummary]:
        """The jobs of one dispatch."""
        return [job for job in self.aws.jobs() if dispatch_id in job.name]

    def jobs_are(self, dispatch_id: str, *statuses: str) -> None:
        """Waits until the jobs of a dispatch have these states, in any order."""
        wanted = sorted(statuses)
        self.client.until(
            lambda: sorted(job.status for job in self.jobs(dispatch_id)) == wanted, f"jobs that are {wanted}", 60
        )

    def graph(self, dispatch_id: str) -> list[dict[str, Any]]:
        """Nodes of a dispatch: id, name, status and executor."""
        path = f"/api/v2/dispatches/{dispatch_id}"
        nodes = json.loads(self.server.get(path))["lattice"]["transport_graph"]["nodes"]
        return [{"id": node["id"], **node["metadata"]} for node in nodes]

    def told(self, dispatch_id: str) -> str:
        """What Covalent keeps of a dispatch and its sublattices, but for what is COMPLETED."""
        result = ct.get_result(dispatch_id)
        lines = [f"{dispatch_id} is {result.status}: {result.error}"]
        for node in self.client.nodes(result):
            if str(node["status"]) != "COMPLETED":
                lines.append(f"  {node['name']} is {node['status']}: {node['error']} {node['stderr']}")
            if node["sub_dispatch_id"]:
                lines.append(self.told(node["sub_dispatch_id"]))
        return "\n".join(lines)

    def answers(self) -> bool:
        """Whether the server takes requests."""
        try:
            self.server.get("/api/v2/dispatches?count=1")
        except OSError:
            return False
        return True

    def restart(self) -> None:
        """Kills the server as a crash does, and starts another one."""
        self.server.kill()
        self.server.start()

    def resume(self, *options: str, code: int = 0) -> dict[str, str]:
        """Runs `covalent-awsbatch resume --json` where the server runs: the outcome by dispatch."""
        done = self.command("resume", "--json", *options)
        assert done.returncode == code, done.stdout + done.stderr + self.server.log()[-4000:]
        return {answer["dispatch"]: answer["outcome"] for answer in json.loads(done.stdout)}

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `covalent-awsbatch` where the server runs."""
        return subprocess.run(
            [sys.executable, "-m", "covalent_awsbatch_plugin.cli", *arguments],
            env=self.server.environment,
            cwd=self.server.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )


def counted(name: str, bucket: str, gates: Path, gated: bool) -> Callable[..., int]:
    """A function that adds its arguments, of bytes their number.

    It notes each call in a bucket before it waits for a file.
    """

    def function(*numbers: Any) -> int:
        import time
        import uuid

        import boto3

        boto3.client("s3").put_object(Bucket=bucket, Key=f"{gates.name}/{name}/{uuid.uuid4().hex}", Body=b"")
        while gated and not (gates / name).exists():
            time.sleep(0.05)
        return sum(len(number) if isinstance(number, bytes) else number for number in numbers)

    function.__name__ = name
    return function
