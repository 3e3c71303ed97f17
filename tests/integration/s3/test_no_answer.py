"""An S3 that takes what it is sent and never answers: whoever waits for it can be ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from support.bucket import PART, Bucket
from support.processes import poll
from support.servers import Answer, Request

from covalent_awsbatch_plugin._core import Client

SETTINGS = """
    import asyncio, json, os, sys
    from concurrent.futures import ThreadPoolExecutor
    from covalent_awsbatch_plugin.task import transfer
    from covalent_awsbatch_plugin._core import Client

    client = Client(json.dumps({"endpoint_url": sys.argv[1], "region": "us-east-1"}))
"""
IN_THE_MAIN_THREAD = """
    with client.writer("bucket", "key") as writer:
        writer.write(bytes(200 * 1024 * 1024))
"""
IN_A_THREAD_OF_A_TASK = """
    call = (print, [os.urandom(200 * 1024 * 1024)], {})
    asyncio.run(transfer.upload(client, "bucket", "key", call))
"""
READING = """
    client.reader("bucket", "key")
"""
READING_IN_A_THREAD = """
    ThreadPoolExecutor(1).submit(client.reader, "bucket", "key")
    sys.stdin.read()
"""


@pytest.fixture
def mute(bucket: Bucket) -> Iterator[Callable[[Callable[[Request], bool]], None]]:
    """`mute(meant)`: the bucket answers none of these requests until the test ends."""
    over = threading.Event()

    def silence(meant: Callable[[Request], bool]) -> None:
        def meddle(request: Request, answer: Answer) -> Answer:
            if meant(request):
                over.wait(100)
            return answer

        bucket.meddle = meddle

    yield silence
    over.set()


@contextmanager
def started(bucket: Bucket, program: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SETTINGS) + textwrap.dedent(program), bucket.server.url],
        env={**os.environ, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def is_part(request: Request) -> bool:
    return "partNumber" in request.path


def is_abort(request: Request) -> bool:
    return request.method == "DELETE"


@pytest.mark.parametrize(
    "program", [IN_THE_MAIN_THREAD, IN_A_THREAD_OF_A_TASK], ids=["main thread", "thread of a task"]
)
def test_ctrl_c_ends_an_upload_and_aborts_it(
    bucket: Bucket, mute: Callable[[Callable[[Request], bool]], None], program: str
) -> None:
    mute(is_part)
    with started(bucket, program) as process:
        poll(lambda: any(map(is_part, bucket.requests)), "a part")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert "panicked" not in said
    assert any(map(is_abort, bucket.requests))


def test_ctrl_c_ends_a_download(bucket: Bucket, mute: Callable[[Callable[[Request], bool]], None]) -> None:
    mute(lambda request: request.method == "GET")
    with started(bucket, READING) as process:
        poll(lambda: bucket.requests, "the download")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert "panicked" not in said


def test_ctrl_c_twice_is_no_panic(bucket: Bucket, mute: Callable[[Callable[[Request], bool]], None]) -> None:
    """The abort is not answered either, so the process waits for it when the second one comes."""
    mute(lambda request: is_part(request) or is_abort(request))
    with started(bucket, IN_A_THREAD_OF_A_TASK) as process:
        poll(lambda: any(map(is_part, bucket.requests)), "a part")
        process.send_signal(signal.SIGINT)
        poll(lambda: any(map(is_abort, bucket.requests)), "the abort")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "panicked" not in said


def test_the_interpreters_end_does_not_wait_for_a_reader(
    bucket: Bucket, mute: Callable[[Callable[[Request], bool]], None]
) -> None:
    mute(lambda request: request.method == "GET")
    with started(bucket, READING_IN_A_THREAD) as process:
        poll(lambda: bucket.requests, "the download")
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "panicked" not in said


def test_a_write_that_waits_is_woken_by_stop(
    bucket: Bucket, client: Client, mute: Callable[[Callable[[Request], bool]], None]
) -> None:
    mute(is_part)
    writer = client.writer("bucket", "key")
    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(writer.write, bytes(20 * PART))
        poll(lambda: any(map(is_part, bucket.requests)), "a part")
        writer.stop()
        with pytest.raises(ValueError, match="aborted"):
            writing.result(timeout=60)
    poll(lambda: any(map(is_abort, bucket.requests)), "the abort")
