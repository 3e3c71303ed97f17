"""Objects that go to S3 as streams, and uploads that end early."""

from __future__ import annotations

import array
import gc
import hashlib
import json
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from blake3 import blake3
from support.bucket import PART, data_of
from support.processes import poll
from support.recorded_s3 import ABORT, BUCKET, COMPLETE, CREATE, KEY, S3, SEND, call
from support.servers import Answer, Request

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.errors import AccessError
from covalent_awsbatch_plugin.task.transfer import package

MIB = 1024 * 1024


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 2 * PART, 50 * MIB])
def test_what_goes_there_comes_back(s3: S3, size: int) -> None:
    data = data_of(size)
    writer = s3.client.writer(BUCKET, KEY, {"python": "3.11"})
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

    reader = s3.client.reader(BUCKET, KEY)
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


def test_one_write_of_many_parts(s3: S3) -> None:
    data = data_of(3 * PART + 5)
    with s3.client.writer(BUCKET, KEY) as writer:
        assert writer.write(data) == len(data)
    assert writer.digest() is None
    assert s3.calls.count(SEND) == 4
    assert s3.client.reader(BUCKET, KEY).read() == data


@pytest.mark.parametrize("size", [0, 5, 2 * PART + 7])
@pytest.mark.parametrize(("algorithm", "hash_of"), [("blake3", blake3), ("sha256", hashlib.sha256)])
def test_it_is_hashed_while_it_is_written(s3: S3, size: int, algorithm: Any, hash_of: Any) -> None:
    data = data_of(size)
    with s3.client.writer(BUCKET, KEY, hash_algorithm=algorithm) as writer:
        writer.write(data[:3])
        writer.write(bytearray(data[3:5]))
        writer.write(memoryview(data)[5:])
        writer.write_text("end")
    assert writer.digest() == hash_of(data + b"end").hexdigest()
    assert s3.client.reader(BUCKET, KEY).read() == data + b"end"


def test_parts_go_out_side_by_side(s3: S3) -> None:
    """Each waits for another one: were they sent one after the other, none would arrive."""
    together = threading.Barrier(2, timeout=30)

    def meet(request: Request) -> None:
        if call(request) == SEND:
            together.wait()

    s3.before = meet
    with s3.client.writer(BUCKET, KEY) as writer:
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
def test_any_buffer_is_written(s3: S3, buffer: Any) -> None:
    with s3.client.writer(BUCKET, KEY) as writer:
        assert writer.write(buffer) == memoryview(buffer).nbytes
    assert s3.s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read() == bytes(memoryview(buffer))


@pytest.mark.parametrize("wrong", ["text", 5, None, [1]])
def test_what_is_no_buffer_is_refused(s3: S3, wrong: Any) -> None:
    writer = s3.client.writer(BUCKET, KEY)
    with pytest.raises(TypeError):
        writer.write(wrong)
    writer.abort()
    assert s3.calls == []


def test_a_call_is_packaged(s3: S3) -> None:
    large = np.arange(3_000_000, dtype=np.float64)
    package(s3.client, BUCKET, KEY, (len, [large], {"unicode": "ça va, 好"})).close()
    assert s3.calls.count(SEND) == 2
    stored = s3.s3.get_object(Bucket=BUCKET, Key=KEY)
    function, [argument], keywords = pickle.loads(stored["Body"].read())
    assert (function, keywords) == (len, {"unicode": "ça va, 好"})
    assert np.array_equal(argument, large)
    assert set(stored["Metadata"]) == {f"covalent-awsbatch-{name}" for name in ("python", "cloudpickle", "covalent")}


def test_a_call_that_cannot_be_pickled_leaves_nothing(s3: S3) -> None:
    with pytest.raises(TypeError):
        package(s3.client, BUCKET, KEY, (len, [bytes(2 * PART), threading.Lock()], {}))
    poll(lambda: not s3.uploads(), "the upload is aborted")
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
    own = Client(json.dumps({"region": "us-east-1", "endpoint_url": url if place == "settings" else ""}))
    own.writer(BUCKET, "key").close()
    [request] = s3.proxy.requests
    assert urlsplit(request.path).path == f"/{BUCKET}/key"
    assert request.headers["host"] == urlsplit(url).netloc
    s3.s3.delete_object(Bucket=BUCKET, Key="key")


# --- uploads that end early ---


class WriterError(Exception):
    """Of whoever writes."""


def test_an_exception_aborts(s3: S3) -> None:
    def write() -> None:
        with s3.client.writer(BUCKET, KEY) as writer:
            writer.write(bytes(PART + 1))
            assert len(s3.uploads()) == 1
            raise WriterError

    with pytest.raises(WriterError):
        write()
    poll(lambda: ABORT in s3.calls and not s3.uploads(), "the upload is aborted")
    assert not s3.is_there()


def test_an_exception_before_the_first_part_sends_nothing(s3: S3) -> None:
    def write() -> None:
        with s3.client.writer(BUCKET, KEY) as writer:
            writer.write(b"little")
            raise WriterError

    with pytest.raises(WriterError):
        write()
    assert s3.calls == []


def test_a_writer_that_is_dropped_aborts(s3: S3) -> None:
    writer = s3.client.writer(BUCKET, KEY)
    writer.write(bytes(PART + 1))
    del writer
    gc.collect()
    poll(lambda: ABORT in s3.calls and not s3.uploads(), "the upload is aborted")
    assert not s3.is_there()


def test_abort_from_another_thread(s3: S3) -> None:
    """It takes effect while a write waits for the server, and that write fails."""
    sending, go_on = threading.Event(), threading.Event()

    def hold(request: Request) -> None:
        if call(request) == SEND:
            sending.set()
            go_on.wait(30)

    s3.before = hold
    writer = s3.client.writer(BUCKET, KEY)

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
    poll(lambda: ABORT in s3.calls and not s3.uploads(), "the upload is aborted")
    assert not s3.is_there()


@pytest.mark.parametrize("end", ["close", "abort"])
def test_nothing_is_written_after_the_end(s3: S3, end: str) -> None:
    writer = s3.client.writer(BUCKET, KEY)
    writer.write(b"once")
    getattr(writer, end)()
    for what in (lambda: writer.write(b"more"), writer.close, writer.finish):
        with pytest.raises(ValueError, match="finished or was aborted"):
            what()
    writer.abort()
    assert s3.is_there() == (end == "close")


def test_a_part_that_is_refused_fails_the_upload(s3: S3) -> None:
    denied = b"<Error><Code>AccessDenied</Code><Message>No, you may not.</Message></Error>"
    s3.before = lambda request: Answer(denied, 403) if call(request) == SEND else None
    writer = s3.client.writer(BUCKET, KEY)
    writer.write(bytes(PART + 1))
    with pytest.raises(AccessError, match=f"AWS denied s3:PutObject on s3://{BUCKET}/.*No, you may not"):
        writer.close()
    poll(lambda: ABORT in s3.calls and not s3.uploads(), "the upload is aborted")
    assert not s3.is_there()


def test_a_part_whose_answer_is_lost_is_sent_again(s3: S3) -> None:
    failures = iter([Answer(status=503)])
    s3.before = lambda request: next(failures, None) if call(request) == SEND else None
    data = data_of(PART + 1)
    with s3.client.writer(BUCKET, KEY) as writer:
        writer.write(data)
    assert s3.calls.count(SEND) == 3
    assert s3.client.reader(BUCKET, KEY).read() == data
