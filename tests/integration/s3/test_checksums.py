"""Objects are compared with their checksums, on the way up and on the way down."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import pickle
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest
from covalent._workflow.transport import TransportableObject
from support.bucket import PART, Bucket, crc32, data_of, do, write
from support.servers import Answer, Request

pytest.importorskip("moto.server")

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.errors import ServiceError
from covalent_awsbatch_plugin.task.transfer import load_bare

PATH = "/bucket/key"
SIZES = pytest.mark.parametrize("size", [1000, PART + 1000], ids=["small", "large"])


# --- checksums of what is sent ---


def test_a_small_object_is_sent_with_its_checksum(bucket: Bucket, client: Client) -> None:
    data = data_of(1000)
    write(client, data)
    [put] = bucket.requests
    assert put.headers["x-amz-checksum-crc32"] == crc32(data)


def test_a_large_object_is_sent_with_the_checksums_of_its_parts_and_of_the_whole(
    bucket: Bucket, client: Client
) -> None:
    data = data_of(PART + 1000)
    write(client, data)
    create, *parts, complete = bucket.requests
    assert create.headers["x-amz-checksum-algorithm"] == "CRC32"
    assert create.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    assert len(parts) == 2
    for part in parts:
        assert part.headers["x-amz-checksum-crc32"] == crc32(part.body)
    # S3 compares this with what it has computed itself.
    assert complete.headers["x-amz-checksum-crc32"] == crc32(data)
    assert complete.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    assert bucket.objects[PATH].data == data


@SIZES
def test_content_is_hashed_for_the_signature_only_where_it_can_be_changed_on_its_way(
    bucket: Bucket, client: Client, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    data = data_of(size)
    write(client, data)
    assert {request.headers["x-amz-content-sha256"] for request in bucket.requests if request.method == "PUT"} == {
        "UNSIGNED-PAYLOAD"
    }
    bucket.server.requests.clear()
    monkeypatch.setenv("HTTP_PROXY", bucket.server.url)
    write(Client(json.dumps({"endpoint_url": "http://s3.example", "region": "us-east-1"})), data)
    sent = [request for request in bucket.requests if request.method == "PUT"]
    assert sent
    for request in sent:
        assert request.headers["x-amz-content-sha256"] == hashlib.sha256(request.body).hexdigest()


@pytest.mark.parametrize("variable", ["AWS_REQUEST_CHECKSUM_CALCULATION", "AWS_RESPONSE_CHECKSUM_VALIDATION"])
def test_the_checksums_are_not_a_matter_of_the_environment(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv(variable, "when_required")
    client = Client(json.dumps({"endpoint_url": bucket.server.url, "region": "us-east-1"}))
    write(client, b"data")
    assert bucket.objects[PATH].headers["x-amz-checksum-crc32"] == crc32(b"data")
    assert bucket.requests[0].headers["x-amz-checksum-crc32"] == crc32(b"data")
    bucket.meddle = damaging(times=sys.maxsize)
    with pytest.raises(ServiceError, match="damaged"):
        client.reader("bucket", "key")


@pytest.mark.parametrize(("stored", "is_damage"), [("AAAAAA==", True), ("AAAAAA==-2", False)])
def test_what_s3_says_it_has_stored_is_compared(bucket: Bucket, client: Client, stored: str, is_damage: bool) -> None:
    def meddle(request: Request, answer: Answer) -> Answer:
        other = re.sub(rb"(?<=<ChecksumCRC32>).*?(?=<)", stored.encode(), answer.body)
        return dataclasses.replace(answer, body=other) if request.method == "POST" else answer

    bucket.meddle = meddle
    if is_damage:
        with pytest.raises(ServiceError, match=r"s3://bucket/key was stored damaged \(its CRC32 is not"):
            write(client, bytes(PART + 1))
    else:
        write(client, bytes(PART + 1))


# --- checksums of what is read ---


def damaging(times: int, only: str = "") -> Callable[[Request, Answer], Answer]:
    """Flips a bit in the middle of answers to GET requests whose `Range` header begins so."""
    left = iter(range(times))

    def meddle(request: Request, answer: Answer) -> Answer:
        is_meant = request.method == "GET" and request.headers.get("range", "").startswith(only)
        if not is_meant or next(left, None) is None:
            return answer
        body = bytearray(answer.body)
        body[len(body) // 2] ^= 1
        return dataclasses.replace(answer, body=bytes(body))

    return meddle


def truncating(times: int, only: str = "") -> Callable[[Request, Answer], Answer]:
    """Ends the connection amid answers to GET requests whose `Range` header begins so."""
    left = iter(range(times))

    def meddle(request: Request, answer: Answer) -> Answer:
        is_meant = request.method == "GET" and request.headers.get("range", "").startswith(only)
        if not is_meant or next(left, None) is None:
            return answer
        return dataclasses.replace(answer, cut=min(len(answer.body), PART) // 2)

    return meddle


DAMAGED = r"s3://bucket/key arrived damaged \(its CRC32 is not the one that S3 has\); try again"
CUT_OFF = r"the download of s3://bucket/key broke off after \d+ of \d+ bytes"


def test_one_request_brings_a_small_object_and_its_checksum(bucket: Bucket, client: Client) -> None:
    bucket.put(PATH, b"data")
    assert do(lambda: client.read("bucket", "key")) == b"data"
    [get] = bucket.requests
    assert get.headers["x-amz-checksum-mode"] == "ENABLED"
    assert "x-amz-checksum-mode" in get.headers["authorization"]  # S3 takes no such header that is not signed
    assert "range" not in get.headers


@SIZES
@pytest.mark.parametrize("harm", [damaging, truncating])
def test_a_whole_object_that_arrives_badly_once_is_read_again(
    bucket: Bucket, client: Client, size: int, harm: Callable[[int], Any]
) -> None:
    data = data_of(size)
    write(client, data)
    bucket.meddle = harm(1)
    assert do(lambda: client.read("bucket", "key")) == data


@SIZES
@pytest.mark.parametrize(("harm", "message"), [(damaging, DAMAGED), (truncating, CUT_OFF)])
def test_a_whole_object_that_always_arrives_badly_is_an_error(
    bucket: Bucket, client: Client, size: int, harm: Callable[[int], Any], message: str
) -> None:
    write(client, data_of(size))
    bucket.meddle = harm(sys.maxsize)
    with pytest.raises(ServiceError, match=message):
        do(lambda: client.read("bucket", "key"))
    assert len(bucket.requests) < 30


def test_a_range_that_breaks_off_is_asked_for_again(bucket: Bucket, client: Client) -> None:
    data = data_of(PART + 1000)
    write(client, data)
    bucket.meddle = truncating(2, only="bytes")
    assert client.reader("bucket", "key").read() == data


def test_the_last_piece_of_a_damaged_stream_is_not_handed_out(bucket: Bucket, client: Client) -> None:
    """Else a pickle that ends with the object would be loaded before anybody has compared."""
    data = data_of(PART + 1000)
    write(client, data)
    bucket.meddle = damaging(1, only="bytes")
    reader = client.reader("bucket", "key")
    assert reader.read(PART) == data[:PART]
    with pytest.raises(ServiceError, match=DAMAGED):
        reader.read(1)


@pytest.mark.parametrize("value", [[1, "two"], data_of(PART)], ids=["small", "large"])
@pytest.mark.parametrize("harm", [damaging, truncating])
def test_a_bare_result_that_arrives_badly_once_is_read_again(
    bucket: Bucket, client: Client, value: Any, harm: Callable[..., Any]
) -> None:
    result = TransportableObject(value)
    write(client, pickle.dumps(result))
    bucket.meddle = harm(1, only="bytes" if len(value) > PART // 2 else "")
    assert load_bare(client, "bucket", "key") == result


def test_damage_is_told_from_what_it_does_to_a_pickle(bucket: Bucket, client: Client) -> None:
    write(client, b"\x80\x04" * 10_000)  # each byte of it is an instruction or a small number

    def meddle(request: Request, answer: Answer) -> Answer:
        body = bytearray(answer.body)
        body[1000:1010] = b"\xff" * 10
        return dataclasses.replace(answer, body=bytes(body)) if request.method == "GET" else answer

    bucket.meddle = meddle
    with pytest.raises(ServiceError, match=DAMAGED):
        load_bare(client, "bucket", "key")


@SIZES
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x_amz_checksum_crc32": "AAAAAA==-3", "x_amz_checksum_type": "COMPOSITE"},
        {"x_amz_checksum_sha256": "anything"},
    ],
    ids=["none", "composite", "other"],
)
def test_what_has_no_checksum_to_compare_with_is_read_without_a_word(
    bucket: Bucket, client: Client, caplog: pytest.LogCaptureFixture, size: int, headers: dict[str, str]
) -> None:
    data = data_of(size)
    bucket.put(PATH, data, **headers)
    with caplog.at_level(logging.DEBUG):
        assert do(lambda: client.read("bucket", "key")) == data
    assert [record.message for record in caplog.records if "checksum" in record.message] == []
