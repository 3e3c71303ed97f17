"""Objects that are read from S3 as files are."""

from __future__ import annotations

import hashlib
import io
import threading
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.bucket import PART, data_of
from support.recorded_s3 import BUCKET, KEY, S3
from support.servers import Answer, Request

from covalent_awsbatch_plugin.agreement.unpickling import read_text
from covalent_awsbatch_plugin.errors import AWSBatchError, ServiceError
from covalent_awsbatch_plugin.task.transfer import load_bare

TEXT = b"one\ntwo\n\n" + bytes(range(256)) + b"\nlast line without an end"
OPERATIONS = st.lists(st.one_of(st.just("readline"), st.just("all"), st.integers(-1, 300)), max_size=12)


@given(operations=OPERATIONS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_reading_is_that_of_a_file(s3: S3, operations: list[str | int]) -> None:
    if not s3.is_there():
        s3.put(TEXT)
    reader, expected = s3.client.reader(BUCKET, KEY), io.BytesIO(TEXT)
    for operation in operations:
        if operation == "readline":
            assert reader.readline() == expected.readline()
        elif operation == "all":
            assert reader.read() == expected.read()
        else:
            assert reader.read(int(operation)) == expected.read(int(operation))
    assert reader.read() == expected.read()


def test_a_line_goes_on_in_the_next_range(s3: S3) -> None:
    first = bytes(PART - 3) + b"abc"
    s3.put(first + b"def\nrest")
    reader = s3.client.reader(BUCKET, KEY)
    assert reader.readline() == first + b"def\n"
    assert reader.read(2) == b"re"
    assert reader.readline() == b"st"
    assert (reader.readline(), reader.read(5), reader.read()) == (b"", b"", b"")


def test_an_object_that_is_not_there(s3: S3) -> None:
    with pytest.raises(FileNotFoundError, match=f"s3://{BUCKET}/nothing does not exist"):
        s3.client.reader(BUCKET, "nothing")
    with pytest.raises(FileNotFoundError):
        load_bare(s3.client, BUCKET, "nothing")


def test_a_bucket_that_is_not_there(s3: S3) -> None:
    for attempt in (lambda: s3.client.reader("no-bucket", KEY), lambda: s3.client.writer("no-bucket", KEY).close()):
        with pytest.raises(ServiceError, match=r"on s3://no-bucket/.* NoSuchBucket: The specified bucket") as caught:
            attempt()
        assert caught.value.details["code"] == "NoSuchBucket"
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [PART + 1, 5 * PART])
def test_an_object_that_is_replaced_while_it_is_read(s3: S3, size: int) -> None:
    s3.put(bytes(size))
    replaced = threading.Event()

    def replace(request: Request) -> None:
        if request.headers.get("range", "").startswith(f"bytes={PART}-") and not replaced.is_set():
            s3.put(b"x" * size)
            replaced.set()

    s3.before = replace
    reader = s3.client.reader(BUCKET, KEY)
    with pytest.raises(AWSBatchError, match="PreconditionFailed"):
        reader.read()
    assert replaced.is_set()


@pytest.mark.parametrize("character", ["a", "ü", "€", "😀"])
def test_a_text_is_read_across_ranges(s3: S3, character: str) -> None:
    text = "x" + character * (2 * PART // len(character.encode())) + "end"
    data = text.encode()
    s3.put(data + b"\n")
    reader = s3.client.reader(BUCKET, KEY, hash_algorithm="blake3")
    assert read_text(reader, len(data)) == text
    assert reader.read() == b"\n"
    assert reader.digest() == blake3(data + b"\n").hexdigest()


def test_a_text_that_is_none_or_breaks_off(s3: S3) -> None:
    s3.put(b"abc\xff")
    with pytest.raises(UnicodeDecodeError):
        read_text(s3.client.reader(BUCKET, KEY), 4)
    with pytest.raises(EOFError):
        read_text(s3.client.reader(BUCKET, KEY), 5)
    assert read_text(s3.client.reader(BUCKET, KEY), 3) == "abc"


@pytest.mark.parametrize("size", [0, 5, PART, 5 * PART + 7])
@pytest.mark.parametrize(("algorithm", "hash_of"), [("blake3", blake3), ("sha256", hashlib.sha256)])
def test_it_is_hashed_while_it_is_read(s3: S3, size: int, algorithm: Any, hash_of: Any) -> None:
    data = data_of(size)
    s3.put(data)
    reader = s3.client.reader(BUCKET, KEY, hash_algorithm=algorithm)
    assert reader.readline() + reader.read(3) + reader.read() == data
    assert reader.digest() == hash_of(data).hexdigest()
    assert reader.digest() is None
    unhashed = s3.client.reader(BUCKET, KEY)
    unhashed.read()
    assert unhashed.digest() is None


def test_an_algorithm_that_is_not_known_is_named(s3: S3) -> None:
    for open_ in (s3.client.reader, s3.client.writer):
        with pytest.raises(ValueError, match='no hash algorithm "md5": blake3 or sha256'):
            open_(BUCKET, KEY, hash_algorithm="md5")  # type: ignore[arg-type]


def test_a_range_whose_answer_is_lost_is_asked_for_again(s3: S3) -> None:
    data = data_of(PART + 1)
    s3.put(data)
    failures = iter([Answer(status=503), None, Answer(status=500)])
    s3.before = lambda _: next(failures, None)
    assert s3.client.reader(BUCKET, KEY).read() == data
