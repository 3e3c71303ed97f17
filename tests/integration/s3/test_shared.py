"""Objects that many tasks share: there, missing, or too old to be left to a lifecycle rule."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from typing import Any

import boto3
import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.errors import AccessError, ServiceError

ACCESS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}


@pytest.fixture
def core(bench_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Client:
    """The core's client of an S3 with a bucket."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    s3 = boto3.client("s3", endpoint_url=bench_endpoint, **ACCESS)
    s3.create_bucket(Bucket="shared")
    s3.put_object(Bucket="shared", Key="environments/a", Body=b"content", Metadata={"left": "alone"})
    return Client(json.dumps({"endpoint_url": bench_endpoint, "region": "us-east-1"}))


def kept(core: Client, key: str, bucket: str = "shared") -> bool:
    async def ask() -> bool:
        return await core.keep(bucket, key)

    return asyncio.run(ask())


def stored(age: dt.timedelta | None = None) -> Any:
    """Moto's record of the object, made older."""
    found = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets["shared"].keys["environments/a"]
    if age is not None:
        found.last_modified = dt.datetime.now(dt.timezone.utc).replace(tzinfo=None) - age
    return found


def test_an_object_is_there_or_not(core: Client) -> None:
    before = stored()
    assert kept(core, "environments/a")
    assert not kept(core, "environments/b")
    assert stored() is before, "a young one is left alone"


def test_one_that_is_a_day_old_is_made_new_with_the_same_content(core: Client) -> None:
    before = stored(dt.timedelta(hours=25)).last_modified
    assert kept(core, "environments/a")
    assert stored().last_modified - before > dt.timedelta(hours=24)
    assert stored().value == b"content"
    assert stored().metadata["x-amz-meta-left"] == "alone"


def test_a_bucket_that_is_missing_is_an_object_that_is_missing(core: Client) -> None:
    """The upload that follows says so."""
    assert not kept(core, "environments/a", "nowhere")


def test_who_cannot_sign_or_reach_anything_is_told(
    bench_endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(AccessError):
        kept(Client(json.dumps({"endpoint_url": bench_endpoint, "region": "us-east-1"})), "environments/a")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    settings = {"endpoint_url": "http://127.0.0.1:1", "region": "us-east-1", "interactive": True}
    with pytest.raises(ServiceError):
        kept(Client(json.dumps(settings)), "environments/a")
