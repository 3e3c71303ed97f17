"""A server that is killed while it packs the packages that its jobs need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import covalent as ct
import pytest
from support.covalent_client import client_of
from support.holding import Holding
from support.resuming import QUICK, Cloud

from covalent_awsbatch_plugin.environment import cache
from covalent_awsbatch_plugin.local import LocalAWS
from covalent_awsbatch_plugin.local.covalent_server import CovalentServer


@pytest.mark.timeout(600)
def test_a_server_that_is_killed_while_it_packs_an_environment(tmp_path: Path) -> None:
    packed, options = tmp_path / "packed", {**QUICK, "container_image_uri": "", "runtime": "bucket", "memory": 2}
    with LocalAWS(max_vcpus=4, stop_grace=1) as aws, Holding(aws) as way:
        config = {"awsbatch": {**aws.options, **options, "endpoint_url": way.url}}
        environment = {**aws.environment, cache.VARIABLE: str(packed)}
        with CovalentServer(environment, config, tmp_path / "home") as server, client_of(server) as client:
            cloud = Cloud(aws, server, client, tmp_path / "calls", way)
            one, two = cloud.electron("one"), cloud.electron("two")

            @ct.lattice(executor="local", workflow_executor="local")
            def workflow(number: int) -> Any:
                return two(one(number))

            def begun() -> list[Path]:
                return [file for file in packed.glob("*/packed") if file.stat().st_size > 0]

            dispatch = client.dispatch(workflow, 1)
            client.until(begun, "packing to begin", 120)
            server.kill()
            assert begun(), "it was not finished"
            assert not cloud.jobs(dispatch)
            server.start()
            assert cloud.resume(dispatch) == {dispatch: "resumed"}
            assert client.completed(dispatch, 400).result == 1
            assert cloud.calls() == {"one": 1, "two": 1}
            assert len(cloud.jobs(dispatch)) == 2
