"""Dispatches to a real Covalent server from the test process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.covalent_client import Client, client_of

from covalent_awsbatch_plugin.local.covalent_server import CovalentServer


@pytest.fixture(scope="session")
def covalent_server() -> Iterator[CovalentServer]:
    """One real Covalent server for everything that needs no AWS."""
    with CovalentServer() as server:
        yield server


@pytest.fixture
def client(covalent_server: CovalentServer) -> Iterator[Client]:
    """A client in this process of the session's server."""
    with client_of(covalent_server) as client:
        yield client
