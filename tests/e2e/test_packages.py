"""Packages of an index in a real workflow: what `DepsPip` and `DepsModule` name reaches jobs that have nothing."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import covalent as ct
import pytest
from support.covalent_client import Client, begun_command, client_of, command, until_line
from support.package_index import Index, wheel

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.local import LocalAWS
from covalent_awsbatch_plugin.local.covalent_server import CovalentServer


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module of the user's, which no index has."""
    (tmp_path / "own_module.py").write_text("def double(x):\n    return 2 * x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import own_module

    assert isinstance(own_module, ModuleType)
    yield own_module
    sys.modules.pop("own_module", None)


def said(client: Client, dispatch_id: str) -> str:
    """The error stream of its electron, as Covalent has it now."""
    return str(client.node(ct.get_result(dispatch_id), "build")["stderr"] or "")


def test_depspip_packages_and_a_local_module_reach_a_job(tmp_path: Path, module: Any) -> None:
    with Index() as index, LocalAWS(max_vcpus=4, stop_grace=2) as aws:
        index.add("nails", "1.5", wheel("nails", "1.5", {"nails.py": "SIZE = 5\n"}))
        index.add("hammer", "1.0", wheel("hammer", "1.0", {"hammer.py": "WEIGHT = 3\n"}))
        options = {"vcpu": 1, "memory": 2, "poll_freq": 1, "retry_attempts": 1, "time_limit": 700, "runtime": "bucket"}
        file = tmp_path / "requirements.txt"
        file.write_text("hammer\n")
        executor = AWSBatchExecutor(**{**aws.options, **options}, packages=file)

        @ct.electron(executor=executor, deps_pip=ct.DepsPip(["nails"]), deps_module=[ct.DepsModule(module)])
        def build(x: int) -> Any:
            import hammer
            import nails

            return module.double(x) * nails.SIZE * hammer.WEIGHT

        @ct.lattice(executor="local", workflow_executor="local")
        def workflow(x: int) -> Any:
            return build(x)

        environment = {**aws.environment, "PIP_INDEX_URL": index.url, "UV_CACHE_DIR": str(tmp_path / "uv")}
        environment |= {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PIP_FIND_LINKS": ""}
        with CovalentServer(environment=environment) as server, client_of(server) as client:
            index.answers.clear()
            dispatch_id = client.dispatch(workflow, 7)
            file.unlink()  # what it says went along
            waits = "Waiting for the environment: "
            what = "it to say what it waits for"
            client.until(lambda: "versions of its" in said(client, dispatch_id), what)
            shown = said(client, dispatch_id)
            assert re.fullmatch(rf"{waits}.*looking for the versions of its packages \(\d+ s\)\n", shown)
            told = command(server, "logs", dispatch_id).stderr
            assert re.search(
                r"it is RUNNING: .*looking\s+for\s+the\s+versions\s+of\s+its\s+packages\.", told, re.DOTALL
            )
            with begun_command(server, "watch", dispatch_id) as watch:
                assert watch.stdout is not None
                seen = until_line(watch.stdout, "build[0] waiting: ")
                assert "looking for the versions of its packages" in seen
                watch.kill()
            index.answers.set()
            assert client.completed(dispatch_id, 240).result == 210
            stderr = said(client, dispatch_id)
            assert "not packed" not in stderr
            assert waits not in stderr, "it is over"
            assert re.search(r"Waited \d+ s until the environment was packed and in the bucket", stderr)
        assert sorted(set(index.fetched)) == ["hammer-1.0-py3-none-any.whl", "nails-1.5-py3-none-any.whl"]
        assert len(index.fetched) == 2, "once for the server, and not by the job"
