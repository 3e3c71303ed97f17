"""The embedded AWS runs commands only for who has its key: attacks of other users, and of pages in a browser."""

from __future__ import annotations

import datetime as dt
import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from support.servers import Answer, Request, forward_to
from support.signing import credentials_of, signed

pytest.importorskip("moto.server")

from covalent_awsbatch_plugin.local import LocalAWS

BUCKET = "covalent-batch-job-resources"
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAWS]:
    with LocalAWS() as aws:
        container = {"image": "i", "vcpus": 1, "memory": 128}
        aws.client("batch").register_job_definition(
            jobDefinitionName="known", type="container", containerProperties=container
        )
        yield aws


@pytest.fixture(autouse=True)
def _nothing_ran(aws: LocalAWS) -> Iterator[None]:
    """No attack below leads to a job."""
    yield
    assert aws.jobs() == []


def host_of(aws: LocalAWS) -> str:
    return urlsplit(aws.endpoint_url).netloc


def command(aws: LocalAWS, text: str = "true", **headers: str) -> Request:
    """What runs a command once it is signed."""
    job = {
        "jobName": "attack",
        "jobQueue": "covalent-batch-queue",
        "jobDefinition": "known",
        "containerOverrides": {"command": ["sh", "-c", text]},
    }
    return Request("POST", "/v1/submitjob", {"host": host_of(aws), **JSON, **headers}, json.dumps(job).encode())


def send(
    aws: LocalAWS, request: Request, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> Answer:
    """What it answers to a request, perhaps with other headers or another body than the request's."""
    sent = request.body if body is None else body
    return forward_to(aws.endpoint_url)(Request(request.method, request.path, headers or request.headers, sent))


def raw(aws: LocalAWS, text: str) -> str:
    """The first line of what it answers to these bytes."""
    address = urlsplit(aws.endpoint_url)
    with socket.create_connection((str(address.hostname), address.port), timeout=30) as connection:
        connection.sendall(text.encode())
        return connection.makefile().readline()


def error_of(answer: Answer) -> tuple[int, str]:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    assert not [name for name in headers if name.startswith("access-control-")]
    return answer.status, headers.get("x-amzn-errortype", "")


# --- signatures ---


@pytest.mark.parametrize("path", ["/", f"/{BUCKET}", f"/{BUCKET}/key", "/static/x", "/favicon.ico", "/v1/submitjob"])
@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE", "OPTIONS"])
def test_what_is_not_signed_is_refused(aws: LocalAWS, method: str, path: str) -> None:
    answer = send(aws, Request(method, path, {"host": host_of(aws)}))
    assert error_of(answer) == (403, "MissingAuthenticationToken")


def test_another_secret_or_another_key_is_refused(aws: LocalAWS) -> None:
    own, request = credentials_of(aws), command(aws)
    for credentials, code in {
        Credentials(own.access_key, "testing"): "SignatureDoesNotMatch",
        Credentials("testing", "testing"): "InvalidClientTokenId",
        Credentials("testing", own.secret_key): "InvalidClientTokenId",
        Credentials(own.access_key, own.secret_key, "token"): "InvalidClientTokenId",
        # What moto answers to GetSessionToken, to whoever asks.
        Credentials(
            "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY", "AQoE"
        ): "InvalidClientTokenId",
    }.items():
        answer = send(aws, request, signed(credentials, request, service="batch"))
        assert error_of(answer) == (403, code)


@pytest.mark.parametrize("part", ["method", "path", "query", "header", "body", "service", "signature"])
def test_what_was_changed_after_it_was_signed_is_refused(aws: LocalAWS, part: str) -> None:
    request = command(aws)
    headers = signed(credentials_of(aws), request, service="batch")
    changed = {
        "method": Request("PUT", request.path, headers, request.body),
        "path": Request("POST", "/v1/submitjob/", headers, request.body),
        "query": Request("POST", "/v1/submitjob?a=b", headers, request.body),
        "header": Request("POST", request.path, {**headers, "X-Amz-Target": "X.Y"}, request.body),
        "body": Request("POST", request.path, headers, request.body.replace(b"true", b"id  ")),
        "service": Request(
            "POST", request.path, {**headers, "Authorization": headers["Authorization"].replace("/batch/", "/sts/")}
        ),
        "signature": Request("POST", request.path, {**headers, "Authorization": headers["Authorization"] + "é"}),
    }[part]
    status, code = error_of(send(aws, changed))
    assert (status, code) in {(403, "SignatureDoesNotMatch"), (403, "IncompleteSignature")}


def test_a_body_that_is_not_the_one_of_the_signed_hash_is_not_stored(aws: LocalAWS) -> None:
    digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"  # of "test"
    request = Request("PUT", f"/{BUCKET}/altered", {"host": host_of(aws), "x-amz-content-sha256": digest}, b"test")
    headers = signed(credentials_of(aws), request, service="s3")
    assert error_of(send(aws, request, headers, b"tesT")) == (400, "XAmzContentSHA256Mismatch")
    assert aws.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="altered")["KeyCount"] == 0
    assert send(aws, request, headers).status == 200


@pytest.mark.parametrize("minutes", [16, -16, 24 * 60])
def test_what_was_signed_at_another_time_is_refused(aws: LocalAWS, minutes: int) -> None:
    request = command(aws)
    headers = signed(credentials_of(aws), request, service="batch", age=dt.timedelta(minutes=minutes))
    assert error_of(send(aws, request, headers)) == (403, "RequestTimeTooSkewed")


def test_a_body_that_ends_early_is_refused(aws: LocalAWS) -> None:
    request = command(aws)
    lines = [f"{name}: {value}" for name, value in signed(credentials_of(aws), request, service="batch").items()]
    head = "\r\n".join(["POST /v1/submitjob HTTP/1.1", *lines, "Transfer-Encoding: chunked", "", ""])
    assert " 400 " in raw(aws, f"{head}zz\r\n")


# --- pages in a browser ---


@pytest.mark.parametrize(
    "name", ["evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "localhost", "127.0.0.1.evil.example:{port}", ""]
)
def test_another_host_is_refused_even_if_it_is_signed(aws: LocalAWS, name: str) -> None:
    """A page whose name was bound to 127.0.0.1 after it was loaded."""
    host = name.format(port=urlsplit(aws.endpoint_url).port)
    request = command(aws)
    request = Request(request.method, request.path, {**request.headers, "host": host}, request.body)
    answer = send(aws, request, signed(credentials_of(aws), request, service="batch"))
    assert error_of(answer) == (403, "AccessDenied")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:8000"])
def test_a_page_is_refused_even_if_it_signs(aws: LocalAWS, origin: str) -> None:
    request = command(aws, origin=origin)
    answer = send(aws, request, signed(credentials_of(aws), request, service="batch"))
    assert error_of(answer) == (403, "AccessDenied")
    preflight = {"host": host_of(aws), "origin": origin, "access-control-request-method": "POST"}
    assert error_of(send(aws, Request("OPTIONS", "/", preflight))) == (403, "AccessDenied")


def test_no_page_may_read_an_answer(aws: LocalAWS) -> None:
    request = Request("GET", "/", {"host": host_of(aws)})
    answer = send(aws, request, signed(credentials_of(aws), request, service="s3"))
    assert error_of(answer) == (200, "")


def test_a_recording_is_not_replayed(aws: LocalAWS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two simple requests of a page, which a browser sends without asking: upload a recording, and replay it."""
    monkeypatch.chdir(tmp_path)  # where moto keeps recordings
    scope = "Credential=AKIAANYBODY/20200101/us-east-1/batch/aws4_request"
    step = {
        "method": "POST",
        "url": f"{aws.endpoint_url}/v1/submitjob",
        "headers": {"Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0", **JSON},
        "body": command(aws, f"touch {tmp_path}/ran").body.decode(),
    }
    for headers in ({"origin": "https://evil.example"}, {}):
        page = {"host": host_of(aws), "content-type": "text/plain", **headers}
        upload = Request("POST", "/moto-api/recorder/upload-recording", page, json.dumps(step).encode())
        answers = [send(aws, upload), send(aws, Request("POST", "/moto-api/recorder/replay-recording", page, b"x"))]
        assert [answer.status for answer in answers] == [403, 403]
    assert list(tmp_path.iterdir()) == []


# --- what moto has beside AWS's services ---


@pytest.mark.parametrize(
    "path", ["/moto-api/", "/moto-api/data.json", "/%6doto-api/reset", "/moto-api/recorder/start-recording"]
)
@pytest.mark.parametrize("scope", [("s3", "us-east-1"), ("motoapi", "us-east-1")])
def test_motos_own_interface_is_not_there_for_anybody(aws: LocalAWS, path: str, scope: tuple[str, str]) -> None:
    request = Request("POST", path, {"host": host_of(aws)})
    headers = signed(credentials_of(aws), request, service=scope[0], region=scope[1])
    assert send(aws, request, headers).status in {403, 404}
    assert [bucket["Name"] for bucket in aws.client("s3").list_buckets()["Buckets"]] == [BUCKET]


def test_a_region_cannot_lead_to_motos_own_interface(aws: LocalAWS) -> None:
    request = Request("GET", "/moto-api/data.json", {"host": host_of(aws)})
    headers = signed(credentials_of(aws), request, service="motoapi", region="amazonaws.com")
    assert error_of(send(aws, request, headers)) == (403, "IncompleteSignature")


def test_no_machine_gets_credentials_here(aws: LocalAWS) -> None:
    request = Request("GET", "/latest/meta-data/iam/security-credentials/", {"host": host_of(aws)})
    assert send(aws, request).status == 403
    assert send(aws, request, signed(credentials_of(aws), request, service="s3")).status == 404


@pytest.mark.parametrize(
    "text",
    [
        "GET / HTTP/1.0\r\n\r\n",
        "GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n",
        "GET http://evil.example/ HTTP/1.1\r\nHost: {host}\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n\r\n",
        "GET //moto-api/ HTTP/1.1\r\nHost: {host}\r\n\r\n",
        "GET /%2e%2e/moto-api/ HTTP/1.1\r\nHost: {host}\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: {host}\r\n\r\n",
        "CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: {host}\r\nX_Amz_Target: A.B\r\nAuthorization: AWS4-HMAC-SHA256\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: {host}\r\nAuthorization: AWS AKIA:signature\r\n\r\n",
        "GET /?X-Amz-Signature=1&X-Amz-Signature=2 HTTP/1.1\r\nHost: {host}\r\n\r\n",
        "GET /?X-Amz-Signature=1&X-Amz-Expires=\u0661 HTTP/1.1\r\nHost: {host}\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 99999999999999\r\n\r\n",
    ],
)
def test_other_forms_of_requests_are_refused(aws: LocalAWS, text: str) -> None:
    assert " 403 " in raw(aws, text.format(host=host_of(aws)))


# --- what its users send ---


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_names_metadata_and_large_bodies_as_clients_send_them(aws: LocalAWS, host: str) -> None:
    s3 = client_of(aws, host=host)
    key, body = "a b/ü+~ %&=?//.txt", bytes(range(256)) * 12_000
    s3.put_object(Bucket=BUCKET, Key=key, Body=body, Metadata={"with_underscore": "two  blanks"})
    answer = s3.get_object(Bucket=BUCKET, Key=key)
    assert (answer["Body"].read(), answer["Metadata"]) == (body, {"with_underscore": "two  blanks"})
    assert s3.list_objects_v2(Bucket=BUCKET, Prefix="a b/")["Contents"][0]["Key"] == key
    s3.delete_object(Bucket=BUCKET, Key=key)


def client_of(aws: LocalAWS, host: str = "127.0.0.1", **access: str) -> Any:
    key = credentials_of(aws)
    access = access or {"aws_access_key_id": key.access_key, "aws_secret_access_key": key.secret_key}
    config = Config(signature_version="s3v4", s3={"addressing_style": "path"}, proxies={})
    url = f"http://{host}:{urlsplit(aws.endpoint_url).port}"
    return boto3.client("s3", endpoint_url=url, region_name="us-east-1", config=config, **access)


@pytest.mark.parametrize(
    ("said", "body"),
    [
        ("UNSIGNED-PAYLOAD", b"content"),
        ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", b"7\r\ncontent\r\n0\r\nx-amz-checksum-crc32:/sUwqQ==\r\n\r\n"),
    ],
)
def test_a_body_that_is_not_signed_is_taken_by_s3_alone(aws: LocalAWS, said: str, body: bytes) -> None:
    headers = {"host": host_of(aws), "x-amz-content-sha256": said}
    if said.startswith("STREAMING"):
        headers |= {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": "7"}
        headers |= {"x-amz-trailer": "x-amz-checksum-crc32", "x-amz-sdk-checksum-algorithm": "CRC32"}
    request = Request("PUT", f"/{BUCKET}/unsigned", headers, body)
    assert send(aws, request, signed(credentials_of(aws), request, service="s3")).status == 200
    assert aws.client("s3").get_object(Bucket=BUCKET, Key="unsigned")["Body"].read() == b"content"
    job = command(aws, **{"x-amz-content-sha256": said})
    assert send(aws, job, signed(credentials_of(aws), job, service="batch")).status == 501


def test_a_presigned_address_works_for_what_it_names_alone(aws: LocalAWS) -> None:
    s3 = client_of(aws)
    s3.put_object(Bucket=BUCKET, Key="shared", Body=b"content")
    url = urlsplit(s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "shared"}, ExpiresIn=60))
    target = f"{url.path}?{url.query}"
    host = {"host": host_of(aws)}
    assert send(aws, Request("GET", target, host)).body == b"content"
    for method, path, headers in [
        ("DELETE", target, host),
        ("GET", target.replace("/shared", "/other"), host),
        ("GET", target.replace("X-Amz-Expires=60", "X-Amz-Expires=600"), host),
        ("POST", target, {**host, "x-amz-target": "AWSBatch.SubmitJob"}),
        ("GET", target, {**host, "origin": "https://evil.example"}),
    ]:
        assert send(aws, Request(method, path, headers)).status == 403


def test_keys_that_its_iam_and_sts_issue_count_as_long_as_they_last(aws: LocalAWS) -> None:
    iam, sts = aws.client("iam"), aws.client("sts")
    iam.create_user(UserName="ada")
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    role = sts.assume_role(RoleArn="arn:aws:iam::123456789012:role/CovalentBatchJobRole", RoleSessionName="session")
    session = {
        "aws_access_key_id": role["Credentials"]["AccessKeyId"],
        "aws_secret_access_key": role["Credentials"]["SecretAccessKey"],
        "aws_session_token": role["Credentials"]["SessionToken"],
    }
    user = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    for access in (user, session):
        client_of(aws, **access).list_buckets()
    for access in ({**session, "aws_session_token": "another"}, {**user, "aws_session_token": "one"}):
        with pytest.raises(ClientError, match="InvalidAccessKeyId"):
            client_of(aws, **access).list_buckets()
    iam.delete_access_key(UserName="ada", AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName="ada")
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        client_of(aws, **user).list_buckets()
