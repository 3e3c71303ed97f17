"""Whom the bucket is trusted with: its owner, the key, and nothing in it that runs."""

from __future__ import annotations

import asyncio
import os
import pickle
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.bucket import DENIED, OWNER, PART, Bucket, do, write

pytest.importorskip("moto.server")

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.errors import AccessError, ResultError
from covalent_awsbatch_plugin.options.settings import Settings
from covalent_awsbatch_plugin.task import connection

PATH = "/bucket/key"
OWNER_HEADER = "x-amz-expected-bucket-owner"
KMS_HEADERS = ("x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id")


# --- whose bucket it is ---


async def everything(client: Client) -> None:
    """Every call on S3 that the core knows."""
    for size in (10, PART + 1):
        writer = client.writer("bucket", "key")
        writer.write(bytes(size))
        await writer.finish()
        await client.read("bucket", "key")
    await client.stored_result("bucket", "key")
    await client.delete("bucket", ["key"])
    unfinished = client.writer("bucket", "key")
    unfinished.write(bytes(PART + 1))
    unfinished.abort()


def owners_told(bucket: Bucket, client: Client, account_is_known: bool) -> set[str | None]:
    """The owners that S3 is told, in calls of all kinds."""
    if account_is_known:
        assert do(client.identity)["Account"] == OWNER
    bucket.server.requests.clear()
    do(lambda: everything(client))
    deadline = time.monotonic() + 10
    while not any(request.method == "DELETE" for request in bucket.requests):
        assert time.monotonic() < deadline, "the upload is not aborted"
        time.sleep(0.01)
    kinds = {(request.method, re.sub("=[^&]*", "", urlsplit(request.path).query)) for request in bucket.requests}
    assert len(kinds) == 7, kinds
    return {request.headers.get(OWNER_HEADER) for request in bucket.requests}


def test_every_call_names_the_callers_account_once_it_is_known(bucket: Bucket, client: Client) -> None:
    assert owners_told(bucket, client, account_is_known=True) == {OWNER}


def test_an_account_that_is_not_known_is_not_asked_for(bucket: Bucket, client: Client) -> None:
    """In a container the role may not be able to."""
    assert owners_told(bucket, client, account_is_known=False) == {None}
    assert {request.service for request in bucket.server.requests} == {"s3"}


@pytest.mark.parametrize(("option", "told"), [("any", None), (OWNER, OWNER)])
@pytest.mark.parametrize("account_is_known", [True, False])
def test_the_owner_that_was_set_is_the_one_that_counts(
    bucket: Bucket, client: Client, option: str, told: str | None, account_is_known: bool
) -> None:
    assert owners_told(bucket, client.for_bucket(option, ""), account_is_known) == {told}


def test_a_bucket_of_somebody_else_is_refused_with_the_options_name(bucket: Bucket, client: Client) -> None:
    bucket.put(PATH, b"data")
    expecting = client.for_bucket("210987654321", "")

    calls: list[Callable[[], Any]] = [
        lambda: do(lambda: expecting.read("bucket", "key")),
        lambda: do(lambda: expecting.delete("bucket", ["key"])),
        lambda: write(expecting, b"more"),
        lambda: write(expecting, bytes(PART + 1)),
    ]
    for call in calls:
        with pytest.raises(AccessError, match=r"does not belong to the account 210987654321: .* s3_bucket_owner"):
            call()
    assert bucket.objects[PATH].data == b"data"


def test_the_runner_takes_no_task_from_a_bucket_of_somebody_else(bucket: Bucket) -> None:
    bucket.put("/bucket/func.pkl", pickle.dumps((max, [1, 2], {})))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": bucket.server.url,
        "S3_BUCKET_NAME": "bucket",
        "COVALENT_TASK_FUNC_FILENAME": "func.pkl",
        "RESULT_FILENAME": "result.pkl",
        "COVALENT_AWSBATCH_BUCKET_OWNER": "210987654321",
    }
    command = [sys.executable, "-m", "covalent_awsbatch_plugin.runner"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "AWS denied s3:GetObject on s3://bucket/func.pkl" in done.stderr
    assert "does not belong to the account 210987654321" in done.stderr
    assert list(bucket.objects) == ["/bucket/func.pkl"]
    assert {request.service for request in bucket.server.requests} == {"s3"}


def test_without_the_check_a_denial_is_a_plain_one(bucket: Bucket, client: Client) -> None:
    bucket.meddle = lambda _, __: DENIED
    with pytest.raises(AccessError, match="AWS denied s3:GetObject on s3://bucket/key") as caught:
        client.reader("bucket", "key")
    assert "s3_bucket_owner" not in str(caught.value)


def test_executors_that_differ_in_their_buckets_share_a_connection(bucket: Bucket, client: Client) -> None:
    assert client  # whose credentials are in the environment
    common = Settings(endpoint_url=bucket.server.url)
    options = [{}, {"s3_bucket_owner": "any"}, {"s3_kms_key_id": "alias/mine"}, {"s3_bucket_owner": OWNER}]
    for option in options:
        theirs = connection.client(common.model_copy(update=option))
        assert theirs is connection.client(common.model_copy(update=option))
        assert do(theirs.identity)["Account"] == OWNER
    assert len(bucket.server.requests) == 1


# --- the key ---


def test_a_key_protects_what_is_written(bucket: Bucket, client: Client) -> None:
    protecting = client.for_bucket("", "alias/mine")
    write(protecting, b"data")
    write(protecting, bytes(PART + 1))
    told = [[request.headers.get(name) for name in KMS_HEADERS] for request in bucket.requests]
    [put, create, *rest] = told
    assert put == create == ["aws:kms", "alias/mine"]
    # S3 takes it from the beginning of the upload.
    assert rest == [[None, None]] * 3


def test_without_a_key_the_buckets_own_encryption_is_left_alone(bucket: Bucket, client: Client) -> None:
    write(client, b"data")
    write(client, bytes(PART + 1))
    assert not any(name.startswith(KMS_HEADERS[0]) for request in bucket.requests for name in request.headers)


# --- nothing runs ---


class Evil:
    """Pickled, it is a call of `os.system`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_planted_envelope_is_refused_and_what_it_refers_to_is_named(
    bucket: Bucket, client: Client, tmp_path: Path, protocol: int
) -> None:
    planted = tmp_path / "ran"
    content = pickle.dumps({"status": "succeeded", "later": Evil(planted)}, protocol)
    bucket.put(PATH, content, x_amz_meta_covalent_awsbatch_format="2")
    # The first protocol has instructions of its own, at which the reader stops before.
    what = r"refers to posix\.system" if protocol > 0 else "has other parts than a runner writes"
    with pytest.raises(ResultError, match=rf"s3://bucket/key: .* refused: it {what},? .* write to this"):
        do(lambda: client.stored_result("bucket", "key"))
    assert not planted.exists()
    pickle.loads(content)  # it would have run
    assert planted.exists()


@pytest.mark.parametrize(
    ("content", "refused"),
    [
        (b"(ios\nsystem\n.", r"os\.system"),
        (b"\x80\x04\x8c\x06status\x94Qh\x00.", "an object outside of the pickle"),
        (b"\x80\x02}X\x06\x00\x00\x00status\x82\x07s.", "an object outside of the pickle"),
    ],
)
def test_other_ways_out_of_an_envelope_are_refused_too(
    bucket: Bucket, client: Client, content: bytes, refused: str
) -> None:
    bucket.put(PATH, content, x_amz_meta_covalent_awsbatch_format="2")
    with pytest.raises(ResultError, match=f"refers to {refused}"):
        do(lambda: client.stored_result("bucket", "key"))


def test_the_place_of_a_large_output_is_not_the_envelopes_to_say(bucket: Bucket, client: Client) -> None:
    """The executor reads its own place, whatever `output_key` names."""
    from covalent_awsbatch_plugin.task import retrieval

    envelope = {"status": "succeeded", "output": None, "output_key": "somebody-elses"}
    bucket.put("/bucket/result-x-1.pkl", pickle.dumps(envelope, 4), x_amz_meta_covalent_awsbatch_format="2")
    bucket.put("/bucket/somebody-elses", b"secret")

    async def fetch() -> Any:
        report = await retrieval.fetch_report(client, "bucket", "result-x-1.pkl")
        assert report is not None
        return await retrieval.fetch_result(client, "bucket", "result-x-1.pkl", report)

    with pytest.raises(ResultError, match=r"s3://bucket/result-x-1\.output does not exist"):
        asyncio.run(fetch())
    assert "/bucket/somebody-elses" not in [urlsplit(request.path).path for request in bucket.requests]
