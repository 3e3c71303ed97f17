"""What is taken from the bucket and what is left there: checksums, owners, keys, deletions, and nothing that runs."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
import logging
import os
import pickle
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import pytest
from covalent._shared_files.exceptions import TaskCancelledError
from support.bucket import DENIED, OWNER, PART, Bucket, crc32
from support.servers import Answer, HttpServer, Request, forward_to

pytest.importorskip("moto.server")

from covalent_awsbatch_plugin import connection
from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.errors import AccessError, AWSBatchError, JobFailedError, ResultError, ServiceError
from covalent_awsbatch_plugin.local import LocalAWS
from covalent_awsbatch_plugin.naming import task_keys
from covalent_awsbatch_plugin.settings import Settings
from covalent_awsbatch_plugin.transfer import load_bare

PATH = "/bucket/key"
OWNER_HEADER = "x-amz-expected-bucket-owner"
KMS_HEADERS = ("x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id")
SIZES = pytest.mark.parametrize("size", [1000, PART + 1000], ids=["small", "large"])


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    bucket = Bucket()
    with bucket.server:
        yield bucket


@pytest.fixture
def client(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    return Client(json.dumps({"endpoint_url": bucket.server.url, "region": "us-east-1"}))


def data_of(size: int) -> bytes:
    return Random(size).randbytes(size)


def do(call: Callable[[], Awaitable[Any]]) -> Any:
    async def called() -> Any:
        return await call()

    return asyncio.run(called())


def write(client: Client, data: bytes) -> None:
    with client.writer("bucket", "key") as writer:
        writer.write(data)


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


@pytest.mark.parametrize("values", [[1, "two"], [data_of(PART)]], ids=["small", "large"])
@pytest.mark.parametrize("harm", [damaging, truncating])
def test_a_bare_result_that_arrives_badly_once_is_read_again(
    bucket: Bucket, client: Client, values: list[Any], harm: Callable[..., Any]
) -> None:
    write(client, pickle.dumps(values))
    bucket.meddle = harm(1, only="bytes" if len(str(values)) > PART else "")
    assert load_bare(client, "bucket", "key") == values


def test_damage_is_told_from_what_it_does_to_a_pickle(bucket: Bucket, client: Client) -> None:
    write(client, pickle.dumps([1] * (PART + 1000)))  # each byte of it is an instruction or a small number

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


# --- whose bucket it is ---


async def everything(client: Client) -> None:
    """Every call on S3 that the core knows."""
    for size in (10, PART + 1):
        writer = client.writer("bucket", "key")
        writer.write(bytes(size))
        await writer.finish()
        await client.read("bucket", "key")
    await client.report("bucket", "key")
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
    content = pickle.dumps({"status": "succeeded", "later": [Evil(planted)]}, protocol)
    bucket.put(PATH, content, x_amz_meta_covalent_awsbatch_format="2")
    with pytest.raises(ResultError, match=r"s3://bucket/key: .* refused: it refers to posix\.system, .* write to this"):
        do(lambda: client.report("bucket", "key"))
    assert not planted.exists()
    pickle.loads(content)  # it would have run
    assert planted.exists()


@pytest.mark.parametrize(
    ("content", "refused"),
    [
        (b"(S'true'\nios\nsystem\n.", r"os\.system"),
        (b"\x80\x04\x8c\x06status\x94Qh\x00.", "an object outside of the pickle"),
        (b"\x80\x02}X\x06\x00\x00\x00status\x82\x07s.", "an object outside of the pickle"),
    ],
)
def test_other_ways_out_of_an_envelope_are_refused_too(
    bucket: Bucket, client: Client, content: bytes, refused: str
) -> None:
    bucket.put(PATH, content, x_amz_meta_covalent_awsbatch_format="2")
    with pytest.raises(ResultError, match=f"refers to {refused}"):
        do(lambda: client.report("bucket", "key"))


def test_the_place_of_a_large_output_is_not_the_envelopes_to_say(bucket: Bucket, client: Client) -> None:
    """The executor reads its own place, whatever `output_key` names."""
    from covalent_awsbatch_plugin import retrieval

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


# --- whole tasks ---

BUCKET = "covalent-batch-job-resources"
PROGRAM = [
    *("sh", "-c", 'if [ "$INSTEAD" ]; then eval "$INSTEAD"; else exec "$1" -m covalent_awsbatch_plugin.runner; fi'),
    *("sh", "{python}"),
]
SECRET = "hunter2-or-so"


class Bench:
    """An embedded AWS behind a proxy that records, and may answer in its place."""

    def __init__(self, aws: LocalAWS, directory: Path) -> None:
        forward = forward_to(aws.endpoint_url)
        self.instead: Callable[[Request], Answer | None] = lambda _: None
        self.proxy = HttpServer(lambda request: self.instead(request) or forward(request))
        self.aws, self.s3 = aws, aws.client("s3")
        self._numbers = count()
        self._credentials = directory / "credentials"
        self._credentials.write_text(f"[default]\naws_access_key_id = testing\naws_secret_access_key = {SECRET}\n")

    def executor(self, instead: str = "", **options: Any) -> AWSBatchExecutor:
        """An executor as it is while a task runs; the shell runs `instead` in place of the runner."""
        environment = {"INSTEAD": instead} if instead else {}
        environment |= options.pop("environment", {})
        own = {"endpoint_url": self.proxy.url, "credentials": str(self._credentials), "environment": environment}
        less = {"vcpu": 1, "memory": 0.5, "poll_freq": 0.2, "retry_attempts": 1}
        executor = AWSBatchExecutor(**{**own, **less, **options})
        executor._task_stdout, executor._task_stderr = io.StringIO(), io.StringIO()
        return executor

    def task(self) -> dict[str, Any]:
        """The metadata of a task that nobody has run yet."""
        return {"dispatch_id": f"trust-{next(self._numbers)}", "node_id": 3}

    def run(
        self, executor: AWSBatchExecutor, function: Any = max, *args: Any, task: dict[str, Any] | None = None
    ) -> Any:
        """Runs a call and returns the bare result."""
        running = executor.run(function, list(args or (1, 2)), {}, task or self.task())
        return asyncio.run(running).get_deserialized()

    def keys(self, task: dict[str, Any]) -> list[str]:
        """What the task has in the bucket."""
        found = self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return [item["Key"] for item in found if f"{task['dispatch_id']}-" in item["Key"]]


@pytest.fixture(scope="module")
def shared_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with LocalAWS(max_vcpus=4, program=PROGRAM, stop_grace=1.0) as aws:
        bench = Bench(aws, tmp_path_factory.mktemp("aws"))
        with bench.proxy:
            yield bench


@pytest.fixture
def bench(shared_bench: Bench) -> Iterator[Bench]:
    shared_bench.proxy.requests.clear()
    yield shared_bench
    shared_bench.instead = lambda _: None


LARGE = 9 * 1024 * 1024  # an output that does not fit into the envelope


def test_the_runner_demands_of_the_bucket_what_the_executor_does(bench: Bench) -> None:
    def variables(length: int) -> tuple[dict[str, str], bytes]:
        names = ("COVALENT_AWSBATCH_BUCKET_OWNER", "COVALENT_AWSBATCH_KMS_KEY_ID")
        return {name: os.environ[name] for name in names if name in os.environ}, bytes(length)

    task = bench.task()
    told, output = bench.run(bench.executor(s3_kms_key_id="alias/mine"), variables, LARGE, task=task)
    assert len(output) == LARGE
    assert told == {"COVALENT_AWSBATCH_BUCKET_OWNER": OWNER, "COVALENT_AWSBATCH_KMS_KEY_ID": "alias/mine"}
    keys = bench.keys(task)
    assert len(keys) == 3
    for key in keys:
        head = bench.s3.head_object(Bucket=BUCKET, Key=key)
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/mine"), key
    # The container talks to the service directly; what passed here was the executor's.
    asked = [request for request in bench.proxy.requests if request.service == "s3"]
    assert {request.headers.get(OWNER_HEADER) for request in asked} == {OWNER}

    task = bench.task()
    told, _ = bench.run(bench.executor(s3_bucket_owner="any"), variables, 0, task=task)
    assert told == {}
    head = bench.s3.head_object(Bucket=BUCKET, Key=bench.keys(task)[0])
    assert "SSEKMSKeyId" not in head


def failing() -> Callable[..., None]:
    """A function that raises, and is pickled by value since it has no name that a container could import."""

    def fail(*_: Any) -> None:
        raise ValueError("on purpose")

    return fail


@pytest.mark.parametrize(
    ("option", "after_success", "after_failure"),
    [("never", 3, 2), ("success", 0, 2), ("always", 0, 0)],
)
def test_what_is_left_of_a_task(bench: Bench, option: str, after_success: int, after_failure: int) -> None:
    task, executor = bench.task(), bench.executor(s3_cleanup=option)
    assert bench.run(executor, bytes, LARGE, task=task) == bytes(LARGE)
    assert len(bench.keys(task)) == after_success

    task = bench.task()
    with pytest.raises(JobFailedError, match="on purpose"):
        bench.run(executor, failing(), task=task)
    assert len(bench.keys(task)) == after_failure

    deletions = [request for request in bench.proxy.requests if urlsplit(request.path).query == "delete"]
    assert len(deletions) == {"never": 0, "success": 1, "always": 2}[option]


def test_what_the_public_image_leaves_is_deleted_too(bench: Bench) -> None:
    task = bench.task()
    key = task_keys(**task)[-1]
    bench.s3.put_object(Bucket=BUCKET, Key=key, Body=b'["", "", null, null]')
    bench.run(bench.executor(s3_cleanup="success"), task=task)
    assert bench.keys(task) == []


@pytest.mark.parametrize(("option", "left"), [("success", 1), ("always", 0)])
def test_a_task_that_was_never_submitted(bench: Bench, option: str, left: int) -> None:
    task = bench.task()
    with pytest.raises(AWSBatchError, match="no-such-queue"):
        bench.run(bench.executor(s3_cleanup=option, batch_queue="no-such-queue"), task=task)
    assert len(bench.keys(task)) == left


@pytest.mark.parametrize(("option", "left"), [("success", 1), ("always", 0)])
def test_a_task_that_was_cancelled(bench: Bench, option: str, left: int) -> None:
    task, executor = bench.task(), bench.executor("exec sleep 60", s3_cleanup=option)

    async def cancel() -> None:
        running = asyncio.create_task(executor.run(max, [1, 2], {}, task))
        name = f"covalent-batch-{task['dispatch_id']}-{task['node_id']}"
        deadline = time.monotonic() + 30
        while not (ids := [job.id for job in bench.aws.jobs() if job.name == name]):
            assert time.monotonic() < deadline, "the job is not submitted"
            await asyncio.sleep(0.02)
        assert await executor.cancel(task, ids[0])
        with pytest.raises(TaskCancelledError):
            await running

    asyncio.run(cancel())
    assert len(bench.keys(task)) == left


def test_a_deletion_that_is_denied_is_a_line_for_debugging(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    one = b"<DeleteResult><Error><Key>func</Key><Code>AccessDenied</Code><Message>No.</Message></Error></DeleteResult>"
    for answer, sentence in [(DENIED, "AWS denied s3:DeleteObject"), (Answer(one), "AccessDenied: No.")]:
        bench.instead = lambda request, answer=answer: answer if request.path.endswith("?delete") else None  # type: ignore[misc]
        task = bench.task()
        caplog.clear()
        with caplog.at_level(logging.DEBUG, logger="covalent_awsbatch_plugin"):
            assert bench.run(bench.executor(s3_cleanup="always"), task=task) == 2
        [record] = [record for record in caplog.records if sentence in record.getMessage()]
        assert record.levelno == logging.DEBUG
        assert len(bench.keys(task)) == 2


def test_secrets_stay_where_they_are(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the credentials nor the values of the environment, whatever happens and at whatever level."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="covalent_awsbatch_plugin")
    options: dict[str, Any] = {"environment": {"TOKEN": "the-value"}}
    said: list[str] = []
    ways: list[dict[str, Any]] = [
        {"instead": "exit 3"},
        {"batch_queue": "no-such-queue"},
        {"s3_bucket_name": "no-such-bucket"},
        {"s3_bucket_owner": "210987654321"},
        {"s3_kms_key_id": "alias/mine", "s3_cleanup": "always"},
    ]
    for more in ways:
        executor = bench.executor(**options, **more)
        bench.instead = lambda request, more=more: (  # type: ignore[misc]
            DENIED if "s3_bucket_owner" in more and request.service == "s3" else None
        )
        try:
            bench.run(executor, failing())
        except AWSBatchError as error:
            said += [str(error), repr(error), repr(error.details), executor.task_stderr.getvalue()]
    assert len(said) == 4 * len(ways)
    own = [record.getMessage() for record in caplog.records if record.name.startswith(("covalent_awsbatch", "aws"))]
    assert own
    jobs = bench.aws.client("batch").describe_jobs(jobs=[job.id for job in bench.aws.jobs()])["jobs"]
    visible = [json.dumps([job["jobName"], job.get("tags"), job.get("statusReason")]) for job in jobs]
    for text in [*said, *own, *visible]:
        assert SECRET not in text
        assert "the-value" not in text
