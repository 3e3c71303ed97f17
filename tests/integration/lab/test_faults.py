"""Each fault of the laboratory does what it says, to the calls that it is meant for, and the same again by seed."""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from random import Random
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    FlexibleChecksumError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from lab import BUCKET, QUEUE, Lab, faults
from lab.faults import Fault
from lab.plain import ask
from lab.plan import Plan

IMAGE = {"image": "image:1", "vcpus": 1, "memory": 2048}
DATA = Random(1).randbytes(100_000)


@pytest.fixture(scope="module")
def running() -> Iterator[Lab]:
    with Lab(seed=3) as lab:
        yield lab


def submit(batch: Any, name: str = "job") -> None:
    batch.register_job_definition(jobDefinitionName="d", type="container", containerProperties=IMAGE)
    batch.submit_job(jobName=name, jobQueue=QUEUE, jobDefinition="d")


def statuses(lab: Lab, count: int, key: str = "key") -> list[int]:
    """What comes of so many calls; 0 for a connection that was reset."""
    found = []
    for _ in range(count):
        try:
            found.append(ask(lab, "GET", f"/{BUCKET}/{key}")[0])
        except (ConnectionError, http.client.HTTPException):
            found.append(0)
    return found


# --- which calls ---


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({"at": (2, 4)}, [404, 503, 404, 503, 404, 404]),
        ({"between": (2, 4)}, [404, 503, 503, 503, 404, 404]),
        ({"times": 2}, [503, 503, 404, 404, 404, 404]),
        ({"where": {"Key": "other*"}}, [404] * 6),
        ({"where": {"Key": "k?y"}, "at": (1,)}, [503, 404, 404, 404, 404, 404]),
        ({"where": {"accessKey": "AKIAPLAIN"}}, [503] * 6),
        ({"after": 100.0}, [404] * 6),
        ({"until": 0.0}, [404] * 6),
    ],
)
def test_a_fault_strikes_the_calls_that_it_is_meant_for(lab: Lab, when: dict[str, Any], expected: list[int]) -> None:
    lab.faults(faults.throttle("GetObject", **when))
    assert statuses(lab, 6) == expected
    assert lab.struck["throttle"] == expected.count(503)


def test_of_several_faults_one_happens_and_rates_add_up() -> None:
    script = [faults.throttle(rate=0.2), faults.error(rate=0.1), faults.drop(rate=0.1), faults.latency(0.1, rate=0.5)]
    plan = Plan(5, script)
    decided = [plan.decide("s3", "GetObject", number, {}, 0.0) for number in range(1, 10_001)]
    struck = [outcome.kind if outcome else "" for outcome, _ in decided]
    shares = {kind: struck.count(kind) / len(struck) for kind in ("throttle", "error", "drop", "")}
    assert shares == pytest.approx({"throttle": 0.2, "error": 0.1, "drop": 0.1, "": 0.6}, abs=0.02)
    assert sum(bool(slowness) for _, slowness in decided) / len(decided) == pytest.approx(0.5, abs=0.02)


def test_the_same_seed_decides_the_same_whatever_else_is_called(lab: Lab) -> None:
    script = [faults.throttle(rate=0.3), faults.error(rate=0.2), faults.drop(rate=0.2)]
    runs = []
    for seed in (1, 1, 2):
        lab.reset()
        lab.faults(*script, seed=seed)
        found = []
        for _ in range(40):
            found += statuses(lab, 1)
            if len(runs) == 1:  # calls of another operation in between change nothing
                ask_patiently(lab)
        runs.append(found)
    assert runs[0] == runs[1] != runs[2]


def ask_patiently(lab: Lab) -> None:
    with contextlib.suppress(ConnectionError, http.client.HTTPException):
        ask(lab, "HEAD", f"/{BUCKET}/key")


# --- what happens ---


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "fault", "expected"),
    [
        ("batch", "list_jobs", {"jobQueue": QUEUE}, faults.throttle(), ("TooManyRequestsException", 429)),
        ("s3", "head_bucket", {"Bucket": BUCKET}, faults.throttle(), ("503", 503)),
        ("s3", "list_objects_v2", {"Bucket": BUCKET}, faults.throttle("s3:*"), ("SlowDown", 503)),
        ("sts", "get_caller_identity", {}, faults.throttle(), ("ThrottlingException", 400)),
        ("batch", "list_jobs", {"jobQueue": QUEUE}, faults.error(), ("ServerException", 500)),
        ("s3", "list_objects_v2", {"Bucket": BUCKET}, faults.error(status=503), ("InternalError", 503)),
        ("batch", "list_jobs", {"jobQueue": QUEUE}, faults.denied("batch:ListJobs"), ("AccessDeniedException", 403)),
        ("s3", "list_objects_v2", {"Bucket": BUCKET}, faults.denied("List*"), ("AccessDenied", 403)),
        ("batch", "list_jobs", {"jobQueue": QUEUE}, faults.expired(), ("ExpiredTokenException", 403)),
        ("s3", "list_objects_v2", {"Bucket": BUCKET}, faults.expired(), ("ExpiredToken", 400)),
        ("sts", "get_caller_identity", {}, faults.expired(), ("ExpiredToken", 403)),
        (
            "logs",
            "get_log_events",
            {"logGroupName": "g", "logStreamName": "s"},
            faults.expired(),
            ("ExpiredTokenException", 400),
        ),
        (
            "ecr",
            "describe_images",
            {"repositoryName": "re"},
            faults.denied("ecr:*"),
            ("AccessDeniedException", 400),
        ),
        ("s3", "list_buckets", {}, faults.refuse("*", "Odd", "so what", 418), ("Odd", 418)),
    ],
)
def test_errors_are_the_services_own(  # noqa: PLR0913, PLR0917
    lab: Lab, service: str, operation: str, arguments: dict[str, Any], fault: Fault, expected: tuple[str, int]
) -> None:
    lab.faults(fault)
    with pytest.raises(ClientError) as error:
        getattr(lab.boto3(service), operation)(**arguments)
    response = error.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == expected
    [call] = lab.calls()
    assert (call.acted, call.faults, call.status) == (False, (fault.kind,), expected[1])


@pytest.mark.parametrize("acts", [False, True])
@pytest.mark.parametrize("kind", ["drop", "hang", "error"])
def test_a_call_is_lost_before_or_after_the_service_acted(lab: Lab, batch: Any, kind: str, acts: bool) -> None:
    impatient = lab.boto3(
        "batch", config=Config(retries={"total_max_attempts": 1}, read_timeout=2 if kind == "hang" else 60)
    )
    submit(batch, "first")
    lab.faults(getattr(faults, kind)("SubmitJob", acts=acts, at=(2,)))
    expected = {"drop": ConnectionClosedError, "hang": ReadTimeoutError, "error": ClientError}[kind]
    with pytest.raises(expected):
        impatient.submit_job(jobName="second", jobQueue=QUEUE, jobDefinition="d")
    submit(batch, "third")
    assert [job.name for job in lab.jobs()] == ["first", *["second"] * acts, "third"]
    assert [call.acted for call in lab.calls("SubmitJob")] == [True, acts, True]


def test_a_part_of_an_upload_fails_once(lab: Lab) -> None:
    lab.faults(faults.error("UploadPart", where={"PartNumber": "2"}, times=1))
    patient = lab.boto3("s3", config=Config(retries={"total_max_attempts": 3}))
    patient.upload_fileobj(io.BytesIO(bytes(20 * 1024 * 1024)), BUCKET, "large")
    assert sorted((call.facts["PartNumber"], call.status) for call in lab.calls("UploadPart")) == [
        ("1", 200),
        ("2", 200),
        ("2", 500),
        ("3", 200),
    ]


def test_a_body_ends_too_early(lab: Lab, s3: Any) -> None:
    lab.plant("key", DATA)
    lab.faults(faults.truncate(keep=0.25, times=1))
    with pytest.raises(ResponseStreamingError, match="25000 bytes read"):
        s3.get_object(Bucket=BUCKET, Key="key")["Body"].read()
    assert s3.get_object(Bucket=BUCKET, Key="key")["Body"].read() == DATA


def test_one_bit_of_a_body_changes(lab: Lab) -> None:
    lab.plant("key", DATA)
    lab.faults(faults.corrupt())
    _, _, body = ask(lab, "GET", f"/{BUCKET}/key")
    changed = [ours ^ theirs for ours, theirs in zip(body, DATA, strict=True) if ours != theirs]
    assert changed == [1]
    # The checksum that goes with a whole object shows it.
    with pytest.raises(FlexibleChecksumError):
        lab.boto3("s3").get_object(Bucket=BUCKET, Key="key")["Body"].read()


def test_answers_are_late_by_seed(lab: Lab) -> None:
    lab.faults(faults.latency(0.05, jitter=0.05))
    start = time.monotonic()
    statuses(lab, 4)
    assert 0.2 <= time.monotonic() - start < 5


def test_a_body_drips(lab: Lab) -> None:
    lab.plant("key", DATA)
    lab.faults(faults.drip(10_000, 0.02))
    start = time.monotonic()
    assert ask(lab, "GET", f"/{BUCKET}/key")[2] == DATA
    assert 0.18 <= time.monotonic() - start < 5


def test_an_account_has_a_request_limit(lab: Lab, batch: Any) -> None:
    lab.faults(faults.limit(0.01, burst=10))

    def throttled(count: int) -> int:
        for _ in range(count):
            with contextlib.suppress(batch.exceptions.from_code("TooManyRequestsException")):
                batch.list_jobs(jobQueue=QUEUE)
        return [call.code for call in lab.calls("ListJobs")[-count:]].count("TooManyRequestsException")

    assert throttled(20) == 10
    lab.advance(500)
    assert throttled(10) == 5
    assert statuses(lab, 20) == [404] * 20


def test_a_skewed_clock_is_told_and_allowed_for(lab: Lab) -> None:
    lab.faults(faults.skewed(3600))

    def signed_at(moment: datetime) -> tuple[int, dict[str, str], bytes]:
        return ask(lab, "GET", f"/{BUCKET}", x_amz_date=moment.strftime("%Y%m%dT%H%M%SZ"))

    now = datetime.now(timezone.utc)
    status, headers, body = signed_at(now)
    assert (status, b"<Code>RequestTimeTooSkewed</Code>" in body) == (403, True)
    told = parsedate_to_datetime(headers["date"])
    assert (told - now).total_seconds() == pytest.approx(3600, abs=60)
    status, headers, _ = signed_at(told)
    assert status == 200
    assert (parsedate_to_datetime(headers["date"]) - told).total_seconds() == pytest.approx(0, abs=60)


def test_only_old_keys_have_expired(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.faults(faults.expired(where={"accessKey": "AKIALAB0"}))
    for name, value in lab.environment.items():
        monkeypatch.setenv(name, value)
    lab.renew_credentials("AKIALAB0")
    with pytest.raises(ClientError, match="expired"):
        boto3.Session().client("s3").list_buckets()
    lab.renew_credentials("AKIALAB1")
    assert boto3.Session().client("s3").list_buckets()["Buckets"]


# --- the laboratory itself ---


def test_what_is_no_http_ends_the_connection_and_nothing_else(lab: Lab) -> None:
    with socket.create_connection(("127.0.0.1", lab.port)) as connection:
        connection.sendall(b"what is this?\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            connection.recv(100)
    assert statuses(lab, 1) == [404]


def test_mistakes_in_questions_are_told(lab: Lab) -> None:
    with pytest.raises(KeyError, match="no-such-bucket"):
        lab.objects("no-such-bucket")
    assert lab.objects() == {}


def test_what_it_does_not_know_is_an_error(lab: Lab) -> None:
    assert ask(lab, "POST", "/v1/createjobqueue", b"{}")[0] == 404
    assert ask(lab, "POST", f"/{BUCKET}/key?restore")[0] == 501


def test_the_process_ends_with_the_block() -> None:
    with Lab() as lab:
        port = lab.port
        assert statuses(lab, 1) == [404]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
