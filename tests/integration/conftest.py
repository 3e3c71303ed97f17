"""What the tests over HTTP share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from support.bench import BUCKET, FUNCTION, RESULT, Bench
from support.bucket import Bucket
from support.paths import TESTS
from support.probing import Probe
from support.servers import HttpServer
from support.sts import answer

from covalent_awsbatch_plugin._core import Client


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
def bench_endpoint() -> Iterator[str]:
    """A server that speaks S3."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bench(bench_endpoint: str, tmp_path: Path) -> Iterator[Bench]:
    """A job of the runner, with a bucket of its own."""
    access = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    s3 = boto3.client("s3", endpoint_url=bench_endpoint, **access)
    s3.create_bucket(Bucket=BUCKET)
    home = tmp_path / "home"
    home.mkdir()
    environment = {
        **{name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG") if name in os.environ},
        "HOME": str(home),
        "AWS_ENDPOINT_URL": bench_endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "S3_BUCKET_NAME": BUCKET,
        "COVALENT_TASK_FUNC_FILENAME": FUNCTION,
        "RESULT_FILENAME": RESULT,
        "AWS_BATCH_JOB_ID": "job-1",
        "AWS_BATCH_JOB_ATTEMPT": "2",
    }
    yield Bench(s3, environment)
    for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        s3.delete_object(Bucket=BUCKET, Key=item["Key"])
    s3.delete_bucket(Bucket=BUCKET)


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
