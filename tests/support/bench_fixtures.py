"""What the tests of the runner share: a job of it, without AWS Batch around it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer
from support.bench import BUCKET, FUNCTION, RESULT, Bench


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
