"""Large arguments and results: their pickles, their memory, and how many are under way at once."""

from __future__ import annotations

import asyncio
import io
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from random import Random
from typing import Any

import cloudpickle
import numpy as np
import pytest
from covalent._workflow.transport import TransportableObject
from lab import BUCKET, Lab

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.agreement import unpickling as texts
from covalent_awsbatch_plugin.task import archive, pickling, threads, transfer

MIB = 1024 * 1024
SIZE = 256 * MIB
BEYOND = 150  # MiB that a transfer may take besides what is transferred


class File(io.BytesIO):
    """What a `Writer` and a `Reader` are."""

    def write_text(self, text: str) -> int:
        return self.write(text.encode())

    @property
    def size(self) -> int:
        return len(self.getvalue())


# --- pickles ---

LARGE = TransportableObject(np.arange(400_000))
LONG = TransportableObject("long " * 500_000)  # as text, too
FOREIGN = TransportableObject("längst " * 500_000)


def double(value: int) -> int:
    return 2 * value


@pytest.mark.parametrize(
    "call",
    [
        (len, [1], {}),
        (double, [LARGE], {}),
        (lambda value: value, [LONG, LARGE, LARGE, [LONG]], {"more": {"deep": LARGE}}),
        (double, [FOREIGN], {"plain": "text " * 500_000}),
        (double, [np.arange(400_000), bytes(3 * MIB), bytearray(3 * MIB)], {}),
        # What stands in for texts on their way, and what announces it.
        (double, [bytes(64 * 1024), LARGE, bytes(64 * 1024)], {}),
        (double, [LARGE, b"x" * 70_000 + b"B\0\0\1\0", LONG], {"last": b"B\0\0\1\0"}),
    ],
)
def test_a_pickle_is_the_one_of_cloudpickle(call: Any) -> None:
    file = File()
    pickling.dump(call, file)
    assert file.getvalue() == cloudpickle.dumps(call)


def test_texts_go_out_as_they_are() -> None:
    """No copy of a large one is written, neither as text nor as bytes."""
    written: list[str] = []

    class Listening(File):
        def write(self, data: Any) -> int:
            assert memoryview(data).nbytes < MIB
            return super().write(data)

        def write_text(self, text: str) -> int:
            written.append(text)
            return len(text)

    pickling.dump((len, [LONG], {}), Listening())
    assert [id(text) for text in written] == [id(LONG._object), id(LONG._object_string)]


VALUES = [
    ["short", "line\r\nline\r" * 200_000, b"bytes" * 500_000, bytearray(b"array" * 500_000)],
    {"long": "ü" * texts.LARGE_TEXT, "lone surrogates": "\ud800" * texts.LARGE_TEXT, "longer": "x" * 5_000_000},
    [LARGE, LONG, FOREIGN, LARGE, 2**70, 1.5, -3, None, {"a": (1, 2)}],
]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", VALUES)
def test_what_is_unpickled_is_what_pickle_makes_of_it(value: Any, protocol: int) -> None:
    value = [value, value] + (value if isinstance(value, list) else list(value.values()))
    data = pickle.dumps(value, protocol)
    loaded = texts.Unpickler(io.BytesIO(data)).load()
    assert loaded == value
    assert loaded[0] is loaded[1]
    assert loaded[0][0] is loaded[2] if isinstance(loaded[0], list) else loaded[0]["long"] is loaded[2]


@pytest.mark.parametrize("length", [2 * MIB, 2**40, 2**50, 2**63 - 1])
def test_a_text_that_is_announced_and_does_not_come(length: int) -> None:
    data = b"\x80\x04\x8d" + length.to_bytes(8, "little") + b"abc."
    with pytest.raises(EOFError):
        texts.Unpickler(io.BytesIO(data)).load()


@pytest.mark.parametrize("data", [b"\x80\x04K\x00Q.", b"\x80\x04J\0\0\0\0Q.", b"Panything\n.", b"\x80\x04]Q."])
def test_a_pickle_has_no_objects_outside_of_it(data: bytes) -> None:
    with pytest.raises(pickle.UnpicklingError):
        texts.Unpickler(io.BytesIO(data)).load()


# --- serialised objects ---


@pytest.mark.parametrize("wrapped", [TransportableObject(None), TransportableObject(len), LARGE, LONG, FOREIGN])
def test_an_archive_is_the_one_of_covalent(wrapped: TransportableObject) -> None:
    file = File(wrapped.serialize())
    loaded, expected = archive.load(file), TransportableObject.deserialize(file.getvalue())
    assert type(loaded) is TransportableObject
    assert loaded.__dict__ == expected.__dict__ == wrapped.__dict__
    assert list(loaded.__dict__) == list(expected.__dict__)


@pytest.mark.parametrize("end", [0, 7, 16, 40, -1])
def test_half_an_archive_is_none(end: int) -> None:
    whole = LARGE.serialize()
    file = File(whole[:end])
    if end == -1:  # shorter than it was when its size was asked for
        file = type("Cut", (File,), {"size": len(whole)})(whole[:end])
    with pytest.raises((ValueError, EOFError)):
        archive.load(file)


# --- memory ---

CHILD = """
import asyncio, json, os, sys, tempfile
from pathlib import Path
from covalent._workflow.transport import TransportableObject
from covalent_awsbatch_plugin.task import retrieval, transfer
from covalent_awsbatch_plugin._core import Client

url, bucket, way, size = *sys.argv[1:4], int(sys.argv[4])

def memory():
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return [int(lines[name].split()[0]) // 1024 for name in ("VmRSS", "VmHWM")]

def no_file(event, args):
    if event in ("tempfile.mkstemp", "tempfile.mkdtemp") or event == "open" and "w" in str(args[1]) and args[0] != peak:
        print("opened", args, flush=True)

client = Client(json.dumps({"endpoint_url": url, "region": "us-east-1"}))
wrapped = TransportableObject(None)
if way == "up":
    wrapped._object = "A" * size
peak = "/proc/self/clear_refs"
sys.addaudithook(no_file)
Path(peak).write_text("5")
before = memory()[0]
if way == "up":
    asyncio.run(transfer.upload(client, bucket, "func-up.pkl", (len, [wrapped], {})))
else:
    report = retrieval.Report(succeeded=True, bare=size if way == "legacy" else None)
    wrapped = asyncio.run(retrieval.fetch_result(client, bucket, "result-down.pkl", report))
assert len(wrapped.get_serialized()) == size
print(memory()[1] - before)
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(discard="func-*") as lab:
        yield lab


@pytest.fixture
def client(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Client:
    for name, value in lab.environment.items():
        monkeypatch.setenv(name, value)
    return Client('{"region": "us-east-1"}')


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process's memory is asked of /proc")
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("way", "beyond"), [("up", BEYOND), ("down", SIZE // MIB + BEYOND), ("legacy", SIZE // MIB + BEYOND)]
)
def test_a_transfer_takes_little_memory_and_no_file(lab: Lab, way: str, beyond: int) -> None:
    wrapped = TransportableObject(None)
    wrapped._object = "A" * SIZE
    if way != "up":
        key, data = (
            ("result-down.pkl", pickle.dumps(wrapped))
            if way == "legacy"
            else ("result-down.output", wrapped.serialize())
        )
        lab.plant(key, data)
    child = subprocess.run(
        [sys.executable, "-c", CHILD, lab.url, BUCKET, way, str(SIZE)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **lab.environment},
    )
    assert int(child.stdout) <= beyond


# --- many at once ---


class Counting:
    """Pickled, it counts how many like it are being pickled."""

    now = most = 0
    lock = threading.Lock()

    def __init__(self, nbytes: int, together: threading.Barrier) -> None:
        self.nbytes = nbytes
        self._together = together

    def __reduce__(self) -> tuple[Any, ...]:
        with Counting.lock:
            Counting.now += 1
            Counting.most = max(Counting.most, Counting.now)
        self._together.wait(30)
        with Counting.lock:
            Counting.now -= 1
        return int, ()


def test_few_are_packaged_at_once_and_large_ones_delay_no_small_one(client: Client) -> None:
    async def all_at_once() -> None:
        # Each waits for three others: two large and two small ones, since that is how many there are at a time.
        together = threading.Barrier(4)
        sizes = [1, threads.LARGE_BYTES] * 10
        calls = [(len, [Counting(size, together)], {}) for size in sizes]
        await asyncio.gather(
            *(transfer.upload(client, BUCKET, f"func-{number}", call) for number, call in enumerate(calls))
        )

    Counting.most = 0
    asyncio.run(all_at_once())
    assert Counting.most == 4


def test_what_is_cancelled_while_it_is_packaged_is_aborted(lab: Lab, client: Client) -> None:
    packaging = threading.Event()
    go_on = threading.Event()

    class Slow:
        def __reduce__(self) -> tuple[Any, ...]:
            packaging.set()
            assert go_on.wait(30)
            return int, ()

    async def cancelled() -> None:
        large = Random(1).randbytes(40 * MIB)
        task = asyncio.ensure_future(transfer.upload(client, BUCKET, "func-cancelled", (len, [Slow(), large], {})))
        assert await asyncio.to_thread(packaging.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()

    asyncio.run(cancelled())
    # The thread is free again when another one's turn has come twice.
    for number in range(2):
        asyncio.run(transfer.upload(client, BUCKET, f"func-next-{number}", (len, [bytes(threads.LARGE_BYTES)], {})))
    assert lab.uploads() == []
    assert "func-cancelled" not in lab.objects()


def test_a_childs_threads_are_its_own() -> None:
    program = """
import asyncio, os
from covalent_awsbatch_plugin.task import threads
asyncio.run(threads.run(1, len, "x"))
child = os.fork()
if not child:
    asyncio.run(asyncio.wait_for(threads.run(1, len, "x"), 30))
    os._exit(7)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 7


def test_how_large_something_is_can_be_told_at_a_glance() -> None:
    endless: list[Any] = [b"x" * 100]
    endless.append(endless)
    assert threads.size_of(1, None, len) == 0
    assert threads.size_of(["ab", {"c": b"cd", "d": [bytearray(5)]}]) == 9
    assert threads.size_of(np.zeros(10)) == 80
    assert threads.size_of(LONG) == len(LONG._object) + len(LONG._object_string)
    assert threads.size_of(endless) >= 100
    assert threads.size_of(list(range(10_000_000))) == 0
