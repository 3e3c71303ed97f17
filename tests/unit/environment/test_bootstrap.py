"""What a job asks of S3 for its packages: the same as AWS's own client, signed as AWS has it."""

from __future__ import annotations

from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.credentials import Credentials

from covalent_awsbatch_plugin.environment import bootstrap
from covalent_awsbatch_plugin.local import signature

KEY = f"environments/sha256-{0:064}.tar.gz"


@pytest.fixture(autouse=True)
def _container(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"):
        monkeypatch.setenv(f"AWS_{name}", name)
    monkeypatch.setenv("COVALENT_AWSBATCH_BUCKET_OWNER", "1" * 12)


def own_clients_url(bucket: str, region: str) -> str:
    s3 = boto3.client("s3", region_name=region, config=Config(s3={"addressing_style": "virtual"}))
    url: str = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": KEY})
    return url.partition("?")[0]


@pytest.mark.parametrize(
    ("bucket", "region"),
    [
        ("jobs", "eu-west-1"),
        ("my.jobs", "eu-west-1"),
        ("jobs", "cn-north-1"),
        ("my.jobs", "cn-north-1"),
        ("jobs-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias", "eu-west-1"),
        ("arn:aws:s3:eu-west-1:123456789012:accesspoint/jobs", "eu-west-1"),
        ("arn:aws:s3:eu-west-1:123456789012:accesspoint:jobs", "us-east-2"),
        ("arn:aws-cn:s3:cn-north-1:123456789012:accesspoint/jobs", "cn-north-1"),
    ],
)
def test_an_object_is_asked_for_as_awss_own_client_does(
    monkeypatch: pytest.MonkeyPatch, bucket: str, region: str
) -> None:
    """An access point answers at a host of its own alone, and a bucket with dots at none that has a certificate."""
    monkeypatch.setenv("S3_BUCKET_NAME", bucket)
    request = bootstrap.signed(KEY, region)
    url = urlsplit(request.full_url)
    assert request.full_url == own_clients_url(bucket, region)
    assert request.headers["Host"] == url.netloc
    found = signature.parse("GET", url.path, request.header_items())
    found.check(Credentials("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"), "")
    assert (found.token, found._region) == ("SESSION_TOKEN", region if "arn:" not in bucket else bucket.split(":")[3])


def test_a_server_of_ones_own_is_asked_for_the_buckets_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_BUCKET_NAME", "jobs")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:5000")
    assert bootstrap.signed(KEY, "us-east-1").full_url == f"http://127.0.0.1:5000/jobs/{KEY}"
