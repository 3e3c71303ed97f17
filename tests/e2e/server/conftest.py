"""An embedded AWS beside a Covalent server that ends and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from support.covalent_client import client_of
from support.holding import Holding
from support.resuming import QUICK, Cloud

from covalent_awsbatch_plugin.local import LocalAWS
from covalent_awsbatch_plugin.local.covalent_server import CovalentServer


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """An embedded AWS that outlives the server, for all tests of a file."""
    with LocalAWS(max_vcpus=16, stop_grace=1) as aws, Holding(aws) as way:
        config = {"awsbatch": {**aws.options, **QUICK, "endpoint_url": way.url}}
        home = tmp_path_factory.mktemp("home")
        with CovalentServer(aws.environment, config, home) as server, client_of(server) as client:
            yield Cloud(aws, server, client, home, way)


@pytest.fixture
def cloud(running: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Cloud:
    """The same, with calls counted from nothing."""
    return replace(running, gates=tmp_path_factory.mktemp("calls"))
