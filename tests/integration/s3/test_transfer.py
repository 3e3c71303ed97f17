"""Objects that go to S3 and come back as streams."""

from __future__ import annotations

import array
import contextlib
import gc
import hashlib
import io
import json
import os
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import numpy as np
import pytest
from covalent._workflow.transport import TransportableObject
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer
from support.servers import Answer, HttpServer, Request, forward_to

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.errors import AccessError, AWSBatchError, ResultError, ServiceError
from covalent_awsbatch_plugin.task.transfer import load_bare, package

BUCKET, KEY = "bucket", "a key/with ümlaut"
MIB = 1024 * 1024
PART = 16 * MIB


class S3:
    """Moto's S3 behind a proxy that records what the core asks, and may be told to interfere.

    Attributes:
        s3: A boto3 client that does not pass the proxy.
        before: Called with each request of the core before it is answered; an answer of its own replaces moto's.
    """

    def __init__(self, url: str) -> None:
        access = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        self.s3 = boto3.client("s3", endpoint_url=url, **access)
        self.s3.create_bucket(Bucket=BUCKET)
        self.before: Callable[[Request], Answer | None] = lambda _: None
        forward = forward_to(url)
        self.proxy = HttpServer(lambda request: self.before(request) or forward(request))

    @property
    def calls(self) -> list[str]:
        """The core's calls so far, each as the method and the names of the query's parameters."""
        return [call(request) for request in self.proxy.requests]

    def forget(self) -> None:
        """Begins anew."""
        self.proxy.requests.clear()
        self.before = lambda _: None

    def put(self, data: bytes, **more: Any) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=KEY, Body=data, **more)

    def is_there(self) -> bool:
        return "Contents" in self.s3.list_objects_v2(Bucket=BUCKET)

    def uploads(self) -> list[Any]:
        """The multipart uploads that are neither finished nor aborted."""
        found: list[Any] = self.s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        return found


def call(request: Request) -> str:
    parameters = parse_qs(urlsplit(request.path).query, keep_blank_values=True)
    return " ".join([request.method, *sorted(parameters.keys() - {"x-id"})])


CREATE, SEND, COMPLETE, ABORT = "POST uploads", "PUT partNumber uploadId", "POST uploadId", "DELETE uploadId"


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    s3 = S3(f"http://{host}:{port}")
    with s3.proxy:
        yield s3
    moto.stop()


@pytest.fixture(scope="module")
def client(server: S3) -> Iterator[Client]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        yield Client(json.dumps({"endpoint_url": server.proxy.url, "region": "us-east-1"}))


@pytest.fixture
def s3(server: S3) -> Iterator[S3]:
    server.forget()
    yield server
    server.forget()
    server.s3.delete_object(Bucket=BUCKET, Key=KEY)


def until(condition: Callable[[], bool], what: str, seconds: float = 10) -> None:
    """Waits for what happens in the background."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)


def data_of(size: int) -> bytes:
    return Random(size).randbytes(size)


# --- there and back ---


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 2 * PART, 50 * MIB])
def test_what_goes_there_comes_back(s3: S3, client: Client, size: int) -> None:
    data = data_of(size)
    writer = client.writer(BUCKET, KEY, {"python": "3.11"})
    assert s3.calls == []
    # In pieces that no part begins or ends with.
    step = 5 * MIB + 1
    assert sum(writer.write(data[start : start + step]) for start in range(0, size, step)) == size
    assert not s3.is_there()
    writer.close()
    if size <= PART:
        assert s3.calls == ["PUT"]
    else:
        parts = -(-size // PART)
        assert sorted(s3.calls) == sorted([CREATE, *[SEND] * parts, COMPLETE])
    assert s3.uploads() == []
    s3.forget()

    reader = client.reader(BUCKET, KEY)
    assert reader.size == size
    assert reader.metadata == {"python": "3.11"}
    digest = hashlib.sha256()
    read = 0
    while piece := reader.read(3 * MIB):
        digest.update(piece)
        read += len(piece)
    assert (read, digest.digest()) == (size, hashlib.sha256(data).digest())
    ranges = [request.headers["range"] for request in s3.proxy.requests if "range" in request.headers]
    starts = range(PART, size, PART)  # the first piece comes with the answer for the whole object
    assert sorted(ranges) == sorted(f"bytes={start}-{min(start + PART, size) - 1}" for start in starts)
    assert len(s3.calls) == 1 + len(ranges)


def test_one_write_of_many_parts(s3: S3, client: Client) -> None:
    data = data_of(3 * PART + 5)
    with client.writer(BUCKET, KEY) as writer:
        assert writer.write(data) == len(data)
    assert s3.calls.count(SEND) == 4
    assert client.reader(BUCKET, KEY).read() == data


def test_parts_go_out_side_by_side(s3: S3, client: Client) -> None:
    """Each waits for another one: were they sent one after the other, none would arrive."""
    together = threading.Barrier(2, timeout=30)

    def meet(request: Request) -> None:
        if call(request) == SEND:
            together.wait()

    s3.before = meet
    with client.writer(BUCKET, KEY) as writer:
        writer.write(bytes(4 * PART))
    assert s3.calls.count(SEND) == 4


@pytest.mark.parametrize(
    "buffer",
    [
        b"bytes",
        bytearray(b"bytearray"),
        memoryview(b"memoryview"),
        memoryview(bytearray(b"0123456789"))[2:5],
        array.array("i", [1, 2, 3]),
        np.arange(12, dtype=np.float64).reshape(3, 4),
        np.arange(3 * MIB, dtype=np.uint8),
        pickle.PickleBuffer(b"pickle buffer"),
        b"",
        np.empty(0),
    ],
    ids=lambda buffer: type(buffer).__name__,
)
def test_any_buffer_is_written(s3: S3, client: Client, buffer: Any) -> None:
    with client.writer(BUCKET, KEY) as writer:
        assert writer.write(buffer) == memoryview(buffer).nbytes
    assert s3.s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read() == bytes(memoryview(buffer))


@pytest.mark.parametrize("wrong", ["text", 5, None, [1]])
def test_what_is_no_buffer_is_refused(s3: S3, client: Client, wrong: Any) -> None:
    writer = client.writer(BUCKET, KEY)
    with pytest.raises(TypeError):
        writer.write(wrong)
    writer.abort()
    assert s3.calls == []


def test_a_call_is_packaged(s3: S3, client: Client) -> None:
    large = np.arange(3_000_000, dtype=np.float64)
    package(client, BUCKET, KEY, (len, [large], {"unicode": "ça va, 好"})).close()
    assert s3.calls.count(SEND) == 2
    stored = s3.s3.get_object(Bucket=BUCKET, Key=KEY)
    function, [argument], keywords = pickle.loads(stored["Body"].read())
    assert (function, keywords) == (len, {"unicode": "ça va, 好"})
    assert np.array_equal(argument, large)
    assert set(stored["Metadata"]) == {f"covalent-awsbatch-{name}" for name in ("python", "cloudpickle", "covalent")}


def test_a_call_that_cannot_be_pickled_leaves_nothing(s3: S3, client: Client) -> None:
    with pytest.raises(TypeError):
        package(client, BUCKET, KEY, (len, [bytes(2 * PART), threading.Lock()], {}))
    until(lambda: not s3.uploads(), "the upload is aborted")
    assert not s3.is_there()


@pytest.mark.parametrize("place", ["settings", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "services"])
def test_an_endpoint_of_ones_own_is_asked_by_path(
    s3: S3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str
) -> None:
    """With the bucket's name before the host's there would have to be a host for each bucket."""
    url = s3.proxy.url.replace("127.0.0.1", "localhost")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    if place == "services":
        (tmp_path / "config").write_text(f"[default]\nservices = mine\n[services mine]\ns3 =\n  endpoint_url = {url}\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    elif place != "settings":
        monkeypatch.setenv(place, url)
    client = Client(json.dumps({"region": "us-east-1", "endpoint_url": url if place == "settings" else ""}))
    client.writer(BUCKET, "key").close()
    [request] = s3.proxy.requests
    assert urlsplit(request.path).path == f"/{BUCKET}/key"
    assert request.headers["host"] == urlsplit(url).netloc
    s3.s3.delete_object(Bucket=BUCKET, Key="key")


# --- uploads that end early ---


class WriterError(Exception):
    """Of whoever writes."""


def test_an_exception_aborts(s3: S3, client: Client) -> None:
    def write() -> None:
        with client.writer(BUCKET, KEY) as writer:
            writer.write(bytes(PART + 1))
            assert len(s3.uploads()) == 1
            raise WriterError

    with pytest.raises(WriterError):
        write()
    until(lambda: ABORT in s3.calls and not s3.uploads(), "the upload is aborted")
    assert not s3.is_there()


def test_an_exception_before_the_first_part_sends_nothing(s3: S3, client: Client) -> None:
    def write() -> None:
        with client.writer(BUCKET, KEY) as writer:
            writer.write(b"little")
            raise WriterError

    with pytest.raises(WriterError):
        write()
    assert s3.calls == []


def test_a_writer_that_is_dropped_aborts(s3: S3, client: Client) -> None:
    writer = client.writer(BUCKET, KEY)
    writer.write(bytes(PART + 1))
    del writer
    gc.collect()
    until(lambda: ABORT in s3.calls and not s3.uploads(), "the upload is aborted")
    assert not s3.is_there()


def test_abort_from_another_thread(s3: S3, client: Client) -> None:
    """It takes effect while a write waits for the server, and that write fails."""
    sending, go_on = threading.Event(), threading.Event()

    def hold(request: Request) -> None:
        if call(request) == SEND:
            sending.set()
            go_on.wait(30)

    s3.before = hold
    writer = client.writer(BUCKET, KEY)

    def write() -> None:
        while True:
            writer.write(bytes(MIB))

    with ThreadPoolExecutor(2) as threads:
        writing = threads.submit(write)
        assert sending.wait(30)
        aborting = threads.submit(writer.abort)
        go_on.set()
        aborting.result(30)
        with pytest.raises(ValueError, match="aborted"):
            writing.result(30)
    until(lambda: ABORT in s3.calls and not s3.uploads(), "the upload is aborted")
    assert not s3.is_there()


@pytest.mark.parametrize("end", ["close", "abort"])
def test_nothing_is_written_after_the_end(s3: S3, client: Client, end: str) -> None:
    writer = client.writer(BUCKET, KEY)
    writer.write(b"once")
    getattr(writer, end)()
    for what in (lambda: writer.write(b"more"), writer.close, writer.finish):
        with pytest.raises(ValueError, match="finished or was aborted"):
            what()
    writer.abort()
    assert s3.is_there() == (end == "close")


def test_a_part_that_is_refused_fails_the_upload(s3: S3, client: Client) -> None:
    denied = b"<Error><Code>AccessDenied</Code><Message>No, you may not.</Message></Error>"
    s3.before = lambda request: Answer(denied, 403) if call(request) == SEND else None
    writer = client.writer(BUCKET, KEY)
    writer.write(bytes(PART + 1))
    with pytest.raises(AccessError, match=f"AWS denied s3:PutObject on s3://{BUCKET}/.*No, you may not"):
        writer.close()
    until(lambda: ABORT in s3.calls and not s3.uploads(), "the upload is aborted")
    assert not s3.is_there()


def test_a_part_whose_answer_is_lost_is_sent_again(s3: S3, client: Client) -> None:
    failures = iter([Answer(status=503)])
    s3.before = lambda request: next(failures, None) if call(request) == SEND else None
    data = data_of(PART + 1)
    with client.writer(BUCKET, KEY) as writer:
        writer.write(data)
    assert s3.calls.count(SEND) == 3
    assert client.reader(BUCKET, KEY).read() == data


# --- reading ---

TEXT = b"one\ntwo\n\n" + bytes(range(256)) + b"\nlast line without an end"
OPERATIONS = st.lists(st.one_of(st.just("readline"), st.just("all"), st.integers(-1, 300)), max_size=12)


@given(operations=OPERATIONS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_reading_is_that_of_a_file(s3: S3, client: Client, operations: list[str | int]) -> None:
    if not s3.is_there():
        s3.put(TEXT)
    reader, expected = client.reader(BUCKET, KEY), io.BytesIO(TEXT)
    for operation in operations:
        if operation == "readline":
            assert reader.readline() == expected.readline()
        elif operation == "all":
            assert reader.read() == expected.read()
        else:
            assert reader.read(int(operation)) == expected.read(int(operation))
    assert reader.read() == expected.read()


def test_a_line_goes_on_in_the_next_range(s3: S3, client: Client) -> None:
    first = bytes(PART - 3) + b"abc"
    s3.put(first + b"def\nrest")
    reader = client.reader(BUCKET, KEY)
    assert reader.readline() == first + b"def\n"
    assert reader.read(2) == b"re"
    assert reader.readline() == b"st"
    assert (reader.readline(), reader.read(5), reader.read()) == (b"", b"", b"")


def test_an_object_that_is_not_there(client: Client) -> None:
    with pytest.raises(FileNotFoundError, match=f"s3://{BUCKET}/nothing does not exist"):
        client.reader(BUCKET, "nothing")
    with pytest.raises(FileNotFoundError):
        load_bare(client, BUCKET, "nothing")


def test_a_bucket_that_is_not_there(client: Client) -> None:
    for attempt in (lambda: client.reader("no-bucket", KEY), lambda: client.writer("no-bucket", KEY).close()):
        with pytest.raises(ServiceError, match=r"on s3://no-bucket/.* NoSuchBucket: The specified bucket") as caught:
            attempt()
        assert caught.value.details["code"] == "NoSuchBucket"
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [PART + 1, 5 * PART])
def test_an_object_that_is_replaced_while_it_is_read(s3: S3, client: Client, size: int) -> None:
    s3.put(bytes(size))
    replaced = threading.Event()

    def replace(request: Request) -> None:
        if request.headers.get("range", "").startswith(f"bytes={PART}-") and not replaced.is_set():
            s3.put(b"x" * size)
            replaced.set()

    s3.before = replace
    reader = client.reader(BUCKET, KEY)
    with pytest.raises(AWSBatchError, match="PreconditionFailed"):
        reader.read()
    assert replaced.is_set()


def test_a_range_whose_answer_is_lost_is_asked_for_again(s3: S3, client: Client) -> None:
    data = data_of(PART + 1)
    s3.put(data)
    failures = iter([Answer(status=503), None, Answer(status=500)])
    s3.before = lambda _: next(failures, None)
    assert client.reader(BUCKET, KEY).read() == data


# --- the bare result of the public image ---


class Evil:
    """Pickled, it is a call of `os.system`."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


@pytest.mark.parametrize(
    ("content", "refused"),
    [
        (pickle.dumps(Evil()), "posix.system"),
        (pickle.dumps({"deep": Evil()}), "posix.system"),
        (b"cos\nsystem\n(S'true'\ntR.", "os.system"),
        (b"(ios\nsystem\n.", "os.system"),
        (b"cbuiltins\neval\n(S'1'\ntR.", "builtins.eval"),
        # The allowed class by a path that leads through it to other things.
        (b"\x80\x04\x8c\x1ccovalent._workflow.transport\x8c\x1fTransportableObject.deserialize\x93.", "deserialize"),
        (b"Pname\n.", "outside of the pickle"),
        (b"\x80\x04NQ.", "outside of the pickle"),
        (b"\x80\x02\x84\x00\xff\xff\x7f.", "outside of the pickle"),  # an extension code
    ],
)
def test_a_result_that_refers_to_code_is_refused(s3: S3, client: Client, content: bytes, refused: str) -> None:
    s3.put(content)
    with pytest.raises(ResultError, match=f"refused.*{refused}"):
        load_bare(client, BUCKET, KEY)


def whole() -> bytes:
    return pickle.dumps(TransportableObject([1, 2, 3]))


@pytest.mark.parametrize("end", [0, 1, 2, 20, 60, len(whole()) // 2, len(whole()) - 1])
def test_a_result_that_is_cut_off_is_corrupt(s3: S3, client: Client, end: int) -> None:
    s3.put(whole()[:end])
    with pytest.raises(ResultError, match="corrupt") as caught:
        load_bare(client, BUCKET, KEY)
    assert (caught.value.details["bucket"], caught.value.details["key"]) == (BUCKET, KEY)


@given(junk=st.binary(max_size=200))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_junk_is_corrupt_or_plain(s3: S3, client: Client, junk: bytes) -> None:
    s3.put(junk)
    with contextlib.suppress(ResultError):
        load_bare(client, BUCKET, KEY)


@pytest.mark.parametrize(
    "module", ["covalent", "covalent._workflow.transport", "covalent._workflow.transportable_object"]
)
def test_a_transportable_object_is_accepted(s3: S3, client: Client, module: str) -> None:
    named = f"c{TransportableObject.__module__}\n".encode()
    content = pickle.dumps(TransportableObject({"ça": "va"}), protocol=2)
    assert content.startswith(pickle.PROTO + b"\x02" + named)
    s3.put(content.replace(named, f"c{module}\n".encode()))
    result = load_bare(client, BUCKET, KEY)
    assert isinstance(result, TransportableObject)
    assert result.get_deserialized() == {"ça": "va"}


@pytest.mark.parametrize("value", [None, 0, "text", b"", {"a": 1}, {}, TransportableObject, [TransportableObject(1)]])
def test_what_is_no_result_is_corrupt(s3: S3, client: Client, value: Any) -> None:
    s3.put(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))
    with pytest.raises(ResultError, match=r"corrupt: .*TransportableObject"):
        load_bare(client, BUCKET, KEY)


def test_a_large_result_is_accepted(s3: S3, client: Client) -> None:
    value = TransportableObject(data_of(2 * PART))
    s3.put(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))
    assert load_bare(client, BUCKET, KEY) == value
