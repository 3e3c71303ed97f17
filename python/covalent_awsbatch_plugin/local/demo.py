"""A Covalent workflow on AWS Batch without an AWS account, from nothing to the score: `covalent-awsbatch demo`."""

from __future__ import annotations

import contextlib
import datetime as dt
import http.client
import importlib.util
import json
import os
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from covalent_awsbatch_plugin.server import live

from .covalent_server import CovalentServer
from .progress import Progress, job_table

WORKFLOW = Path(__file__).with_name("svm_workflow.py")
"""The workflow, run as a script of its own as a user runs it."""

TIMEOUT = 600.0
"""Seconds that the workflow may take."""

REFRESH = 0.3
"""Seconds between two refreshes of electrons and jobs."""

_TASK = "train_svm"
"""The workflow's task that runs on AWS Batch."""

_NEXT = """
Next:
  covalent-awsbatch local --configure    the same AWS, for your own workflows
  covalent-awsbatch deploy up            a queue and a bucket in your account
  covalent-awsbatch doctor               has an account all that a task needs?"""
"""Suggestions after the demo."""

# Modules that only the demo needs; each stands for the package that brings it.
_NEEDED = {"moto": "moto", "flask": "moto[server]", "numpy": "numpy", "sklearn": "scikit-learn"}


def run_demo(*, keep: bool) -> int:
    """Starts the embedded AWS and a Covalent server, runs the workflow, shows what happens, and tears all down.

    Args:
        keep: Leave both up until an interruption.

    Returns:
        The exit code: 0 when the workflow completed, 1 when it did not.

    Raises:
        RuntimeError: A package is missing, or the server did not start; the message says what to do.
    """
    missing = [package for module, package in _NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise RuntimeError(f'the demo needs {", ".join(missing)}: pip install "covalent-awsbatch-plugin[demo]"')
    progress = Progress()
    with progress.console.status("starting the embedded AWS") as spinner:
        from . import LocalAWS

        with LocalAWS() as aws:
            progress.line("aws", f"embedded AWS at {aws.endpoint_url}")
            spinner.update("starting a Covalent server")
            # The default of ten seconds suits jobs of minutes; here a job takes a few seconds.
            config = {"awsbatch": {**aws.options, "poll_freq": 1}}
            with CovalentServer(environment=aws.environment, config=config) as server:
                progress.line("covalent", f"server at {server.url}")
                spinner.update("running the workflow, whose packages are packed first, once")
                demo = _Demo(server, aws, progress)
                succeeded = demo.run()
                if succeeded:
                    spinner.update("running it once more")
                    again = _Demo(server, aws, progress, demo.dispatch_id)
                    succeeded = again.run()
                jobs = aws.jobs()
                if keep:
                    spinner.stop()
                    _keep(server, progress, demo.dispatch_id)
                    spinner.start()
                spinner.update("ending everything")
    progress.line("all", "torn down")
    progress.text("")
    for line in job_table(jobs, progress.names):
        progress.console.print(line, soft_wrap=True)
    if succeeded:
        progress.text(f"\nscore: {demo.score}")
        progress.text(f"{_TASK} took {demo.seconds[_TASK]:.1f} s, and {again.seconds[_TASK]:.1f} s the second time.")
        progress.text(_NEXT)
    return 0 if succeeded else 1


def _keep(server: CovalentServer, progress: Progress, dispatch_id: str) -> None:
    """Says how to look at what is up, and waits for an interruption."""
    script = server.home / "environment.sh"
    script.touch(mode=0o600)
    own = {name: value for name, value in server.environment.items() if os.environ.get(name) != value}
    lines = (f"export {name}={shlex.quote(value)}\n" for name, value in own.items())
    script.write_text("".join(lines), encoding="utf-8")
    progress.text(f"\nAll of it stays up until Ctrl-C. Covalent's page: {server.url}\nIn another terminal:\n")
    for command in (f". {script}", "covalent-awsbatch jobs --all", f"covalent-awsbatch logs {dispatch_id[:8]}"):
        progress.text(f"  {command}")
    progress.text("")
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()


class _Demo:
    """One run of the workflow, watched from outside: by Covalent's API and the embedded AWS's list of jobs."""

    def __init__(self, server: CovalentServer, aws: Any, progress: Progress, former_id: str = "") -> None:
        self.score = ""
        self.seconds: dict[str, float] = {}
        self.dispatch_id = ""
        self._former_id = former_id
        self._server = server
        self._aws = aws
        self._progress = progress
        self._electrons: dict[int, str] = {}
        self._preparation = ""

    def run(self) -> bool:
        """Runs the client's script to its end; whether the workflow completed."""
        output = self._server.home / "client.log"
        with output.open("w", encoding="utf-8") as log:
            client = subprocess.Popen(
                [sys.executable, str(WORKFLOW)],
                env=self._server.environment,
                cwd=self._server.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            deadline = time.monotonic() + TIMEOUT
            while client.poll() is None and time.monotonic() < deadline:
                self._refresh()
                time.sleep(REFRESH)
        finally:
            client.kill()
            code = client.wait()
        status = self._refresh()
        text = output.read_text(encoding="utf-8", errors="replace").strip()
        if code == 0 and status == "COMPLETED":
            self.score = text.splitlines()[-1]
            return True
        self._explain(text)
        return False

    def _refresh(self) -> str:
        """Shows what has changed since the last time; the workflow's status, empty before it is dispatched."""
        if not self.dispatch_id:
            known = json.loads(self._server.get("/api/v2/dispatches?count=1"))["dispatches"]
            if not known or known[0]["dispatch_id"] == self._former_id:
                self._progress.jobs(self._aws.jobs())
                return ""
            self.dispatch_id = known[0]["dispatch_id"]
            self._progress.line("workflow", f"{WORKFLOW.name} dispatched as {self.dispatch_id}")
        manifest = self._manifest()
        for node in _electrons(manifest):
            metadata = node["metadata"]
            status = metadata["status"]
            self._progress.names.learn(self.dispatch_id, node["id"], metadata["name"])
            if self._electrons.get(node["id"], "NEW_OBJECT") != status:
                self._electrons[node["id"]] = status
                where = f"{metadata['name']} on {metadata['executor']}"
                if (seconds := _seconds(metadata)) is not None:
                    self.seconds[metadata["name"]] = seconds
                    where += f", {seconds:.1f} s"
                self._progress.line("electron", where, status)
                if status == "COMPLETED" and (printed := self._asset(node, "stdout")).strip():
                    self._progress.output(f"{metadata['name']}[{node['id']}]", printed)
            elif status == "RUNNING":
                self._tell_preparation(node)
        # After the electrons, by which the functions of jobs are known.
        self._progress.jobs(self._aws.jobs())
        return str(manifest["metadata"]["status"])

    def _tell_preparation(self, node: dict[str, Any]) -> None:
        try:
            text = live.waits_for(self._asset(node, "stderr"))
        except (OSError, http.client.HTTPException):  # the server was just writing it
            return
        if text and text != self._preparation:
            self._preparation = text
            self._progress.line("packages", text)

    def _explain(self, output: str) -> None:
        """Writes all that helps to find out why the workflow did not complete."""
        write = self._progress.text
        if self.dispatch_id:
            for node in _electrons(self._manifest()):
                if node["metadata"]["status"] != "FAILED":
                    continue
                for asset in ("error", "stderr"):
                    if text := self._asset(node, asset):
                        write(f"\n{node['metadata']['name']}, {asset}:\n{text}")
        write(f"\nThe client wrote:\n{output}")
        write(f"\nThe server's log ends with:\n{self._server.log()[-4000:]}")

    def _asset(self, node: dict[str, Any], name: str) -> str:
        """A text that the server keeps of an electron; empty if there is none."""
        asset = node["assets"][name]
        return self._server.get(asset["remote_uri"]).decode("utf-8", "replace") if asset["size"] else ""

    def _manifest(self) -> dict[str, Any]:
        manifest: dict[str, Any] = json.loads(self._server.get(f"/api/v2/dispatches/{self.dispatch_id}"))
        return manifest


def _electrons(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The nodes that the workflow's author wrote; Covalent's own have names that begin with a colon."""
    nodes: list[dict[str, Any]] = manifest["lattice"]["transport_graph"]["nodes"]
    return [node for node in nodes if not node["metadata"]["name"].startswith(":")]


def _seconds(metadata: dict[str, Any]) -> float | None:
    if not (metadata["start_time"] and metadata["end_time"]):
        return None
    began, ended = (dt.datetime.fromisoformat(metadata[name]) for name in ("start_time", "end_time"))
    return (ended - began).total_seconds()
