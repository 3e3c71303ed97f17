"""Covalent in this process, pointed at a server, with a bound on every wait; and a command where that server runs."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import IO, Any

import covalent as ct
import pytest

from covalent_awsbatch_plugin.local.covalent_server import CovalentServer

TERMINAL = {"COMPLETED", "POSTPROCESSING_FAILED", "FAILED", "CANCELLED"}


def until_line(stream: IO[str], wanted: str) -> str:
    """Reads lines of a command up to one with the wanted text, and returns them."""
    read = ""
    for line in stream:
        read += line
        if wanted in line:
            return read
    pytest.fail(f"it ended without {wanted!r}:\n{read}")


class Client:
    """Covalent's functions, pointed at one server, that never wait for ever and say why something failed.

    Args:
        server: The server that answers.
    """

    def __init__(self, server: CovalentServer) -> None:
        self.server = server

    def dispatch(self, lattice: Any, *args: Any, **kwargs: Any) -> str:
        """Dispatches a lattice and returns the dispatch's id."""
        dispatch_id: str = ct.dispatch(lattice)(*args, **kwargs)
        return dispatch_id

    def status(self, dispatch_id: str) -> str:
        """The dispatch's status, such as `RUNNING` or `COMPLETED`."""
        return str(ct.get_result(dispatch_id, status_only=True)["status"])

    def wait(self, dispatch_id: str, timeout: float = 120) -> Any:
        """Waits until the dispatch has ended, however it ended, and returns Covalent's `Result`."""
        self.until(lambda: self.status(dispatch_id) in TERMINAL, f"dispatch {dispatch_id} to end", timeout)
        return ct.get_result(dispatch_id)

    def run(self, lattice: Any, *args: Any, timeout: float = 120, **kwargs: Any) -> Any:
        """Dispatches a lattice, expects it to be COMPLETED, and returns Covalent's `Result`."""
        return self.completed(self.dispatch(lattice, *args, **kwargs), timeout)

    def completed(self, dispatch_id: str, timeout: float = 120) -> Any:
        """Waits for a dispatch that must be COMPLETED, and returns Covalent's `Result`."""
        result = self.wait(dispatch_id, timeout)
        if str(result.status) != "COMPLETED":
            pytest.fail(
                f"dispatch {dispatch_id} is {result.status}\n{self._nodes(result)}\n{self._log()}", pytrace=False
            )
        return result

    def node(self, result: Any, name: str) -> dict[str, Any]:
        """What Covalent keeps of the first electron of that name: status, output, error, stdout, stderr."""
        return next(node for node in self.nodes(result) if node["name"] == name)

    def nodes(self, result: Any) -> list[dict[str, Any]]:
        """Every node of a `Result` with what Covalent keeps of it."""
        graph = result.lattice.transport_graph
        kept = ("name", "status", "error", "stdout", "stderr", "output", "sub_dispatch_id")
        return [{key: graph.get_node_value(node, key) for key in kept} for node in graph._graph.nodes]

    def until(self, condition: Callable[[], Any], what: str, timeout: float = 120) -> Any:
        """Waits until `condition` holds and returns its value; fails with the server's log when it never does."""
        deadline = time.monotonic() + timeout
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > deadline:
                pytest.fail(f"waited {timeout:g} s for {what}\n{self._log()}")
            time.sleep(0.2)

    def _nodes(self, result: Any) -> str:
        kept = ("name", "status", "error", "stdout", "stderr")
        return "\n".join(f"  {key}: {node[key]}" for node in self.nodes(result) for key in kept if node[key])

    def _log(self) -> str:
        return f"--- the Covalent server's log ends with\n{self.server.log()[-6000:]}"


@contextlib.contextmanager
def dispatcher_at(port: int) -> Iterator[None]:
    """Points the Covalent of this process at a server, and back again."""
    place = {"dispatcher.address": "127.0.0.1", "dispatcher.port": port}
    before = ct.get_config(list(place))
    # Into the file too: Covalent reads it again whenever it makes an executor by name.
    ct.set_config(place)
    try:
        yield
    finally:
        ct.set_config(before)


@contextlib.contextmanager
def client_of(server: CovalentServer) -> Iterator[Client]:
    """A client of a server, to which the Covalent of this process is pointed meanwhile."""
    with dispatcher_at(server.port):
        yield Client(server)


def jobs_command(server: CovalentServer, *options: str) -> subprocess.CompletedProcess[str]:
    """Runs `covalent-awsbatch jobs` where a server runs."""
    return command(server, "jobs", *options)


def command(server: CovalentServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a command of `covalent-awsbatch` where a server runs."""
    with begun_command(server, *arguments) as process:
        try:
            output, errors = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def begun_command(server: CovalentServer, *arguments: str) -> subprocess.Popen[str]:
    """Begins a command of `covalent-awsbatch` where a server runs."""
    return subprocess.Popen(
        [sys.executable, "-m", "covalent_awsbatch_plugin.cli", *arguments],
        env=server.environment,
        cwd=server.home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
