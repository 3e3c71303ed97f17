"""Dispatches to a real Covalent server from the test process, with a bound on every wait."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import covalent as ct
import pytest

from covalent_awsbatch_plugin.local.covalent_server import CovalentServer

TERMINAL = {"COMPLETED", "POSTPROCESSING_FAILED", "FAILED", "CANCELLED"}


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
def _client_of(server: CovalentServer) -> Iterator[Client]:
    place = {"dispatcher.address": "127.0.0.1", "dispatcher.port": server.port}
    before = ct.get_config(list(place))
    # Into the file too: Covalent reads it again whenever it makes an executor by name.
    ct.set_config(place)
    try:
        yield Client(server)
    finally:
        ct.set_config(before)


@pytest.fixture(scope="session")
def client_of() -> Callable[[CovalentServer], AbstractContextManager[Client]]:
    """Points the Covalent of this process at a server as long as a context lasts, and back again."""
    return _client_of


@pytest.fixture(scope="session")
def covalent_server() -> Iterator[CovalentServer]:
    """One real Covalent server for everything that needs no AWS."""
    with CovalentServer() as server:
        yield server


@pytest.fixture
def client(covalent_server: CovalentServer) -> Iterator[Client]:
    """A client in this process of the session's server."""
    with _client_of(covalent_server) as client:
        yield client
