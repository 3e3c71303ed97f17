"""What the tests over HTTP share."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab import Lab
from moto.server import ThreadedMotoServer
from support.bucket import Bucket
from support.installed import install
from support.paths import TESTS
from support.probing import Probe
from support.recorded_s3 import BUCKET as S3_BUCKET
from support.recorded_s3 import KEY, S3
from support.servers import HttpServer
from support.sts import answer
from support.task_bench import PROGRAM, TaskBench

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.environment import prepare, runtime
from covalent_awsbatch_plugin.environment.distributions import CORE_FILE
from covalent_awsbatch_plugin.local import LocalAWS


@pytest.fixture(scope="session")
def probe_process() -> Iterator[subprocess.Popen[str]]:
    """`support/probe.py`, which waits for cases."""
    with subprocess.Popen(
        [sys.executable, str(TESTS / "support" / "probe.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=30)


@pytest.fixture
def probe(probe_process: subprocess.Popen[str], tmp_path: Path) -> Probe:
    """`probe(environment, **settings)`: see `Probe`."""
    return Probe(probe_process, tmp_path)


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    """As much of S3 as the core uses, which tells what it was asked."""
    bucket = Bucket()
    with bucket.server:
        yield bucket


@pytest.fixture
def client(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Client:
    """The core's client of that bucket."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    return Client(json.dumps({"endpoint_url": bucket.server.url, "region": "us-east-1"}))


@pytest.fixture(scope="module")
def shared_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """One S3 for all objects of a file."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    s3 = S3(f"http://{host}:{port}", tmp_path_factory.mktemp("s3"))
    with s3.proxy:
        yield s3
    moto.stop()


@pytest.fixture
def s3(shared_s3: S3) -> Iterator[S3]:
    """An S3 that keeps objects, with a bucket, nothing in it and nothing asked yet."""
    shared_s3.forget()
    yield shared_s3
    shared_s3.forget()
    shared_s3.s3.delete_object(Bucket=S3_BUCKET, Key=KEY)


@pytest.fixture(scope="module")
def shared_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TaskBench]:
    """One embedded AWS for all tasks of a file."""
    with LocalAWS(max_vcpus=8, program=PROGRAM, stop_grace=1.0) as aws:
        bench = TaskBench(aws, tmp_path_factory.mktemp("bench"))
        with bench.proxy:
            yield bench


@pytest.fixture
def bench(shared_bench: TaskBench) -> Iterator[TaskBench]:
    """Tasks that really run, with nothing asked yet."""
    shared_bench.requests.clear()
    yield shared_bench
    shared_bench.instead = lambda _: None


@pytest.fixture
def small_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where two small packages are installed that are packed in place of Covalent and this package; an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    site = tmp_path / "site"
    site.mkdir()
    install(site, "small_one", {"small_one/__init__.py": "NUMBER = 1"})
    install(site, "small_two", {"small_two/__init__.py": "NUMBER = 2", CORE_FILE: "in place of the core"})
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(runtime, "_ROOTS", ("small-one", "small-two"))
    monkeypatch.setattr(runtime, "OWN", "small-two")
    yield site
    prepare._ready.clear()


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """An account without faults, whose jobs succeed; `pytest.mark.lab` sets it up in another way."""
    setup = request.node.get_closest_marker("lab")
    with Lab(**(setup.kwargs if setup else {})) as lab:
        yield lab


@pytest.fixture
def metadata() -> dict[str, Any]:
    """A task of a dispatch that no other test has."""
    return {"dispatch_id": str(uuid.uuid4()), "node_id": 0}


@pytest.fixture
def aws() -> Iterator[HttpServer]:
    """A server that stands for every service that gives credentials, and tells who calls."""
    with HttpServer(answer) as server:
        yield server


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with an empty place for AWS's files."""
    (tmp_path / ".aws").mkdir()
    return tmp_path
