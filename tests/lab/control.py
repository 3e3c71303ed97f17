"""The way to a running stand-in: questions and changes over a socket, one at a time.

Messages are pickles by cloudpickle, so that a test can hand over a function; both ends are this program.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cloudpickle

from .account import Account, Setup
from .batch import Names
from .body import crc32
from .endings import Ending
from .faults import Fault
from .messages import Reply, Request
from .plan import Plan
from .queues import Queue
from .recorder import Call
from .server import Delivery, listen

_HEADER = 8


@dataclass(frozen=True)
class JobView:
    """A job as tests see it.

    Attributes:
        status: As DescribeJobs would tell it, also where Batch has forgotten the job.
        attempts: How many attempts have begun.
        submitted: What SubmitJob was asked, with ARNs for queue and definition.
    """

    id: str
    name: str
    status: str
    reason: str
    attempts: int
    is_terminated: bool
    environment: Mapping[str, str]
    submitted: Mapping[str, Any]


@dataclass(frozen=True)
class ObjectView:
    """An object as tests see it; `headers` has what was asked about encryption, owner and the like."""

    size: int
    metadata: Mapping[str, str]
    headers: Mapping[str, str]
    checksum: str


@dataclass(frozen=True)
class UploadView:
    """An unfinished multipart upload as tests see it, with the bytes of its parts by number."""

    id: str
    bucket: str
    key: str
    parts: Mapping[int, int]


class Controller:
    """What can be asked of a running stand-in and changed in it; each method is one of `Lab`.

    Args:
        setup: What the account is like in the beginning, and after each `reset`.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self.account = Account(setup)

    def answer(self, request: Request) -> tuple[Reply, Delivery]:
        return self.account.answer(request)

    def reset(self) -> None:
        self.account = Account(self._setup)

    def faults(self, faults: Sequence[Fault], seed: int | None) -> None:
        seed = self._setup.seed if seed is None else seed
        self.account.plan = Plan(seed, tuple(faults), self.account.clock.now())

    def choose(self, names: Names, ending: Ending) -> None:
        self.account.jobs.choose(names, ending)

    def end(self, names: Names, ending: Ending) -> int:
        return self.account.jobs.end(names, ending)

    def forget(self, names: Names) -> int:
        jobs = self.account.jobs.named(names)
        for job in jobs:
            job.is_forgotten = True
        return len(jobs)

    def advance(self, seconds: float) -> None:
        self.account.clock.advance(seconds)

    def plant(self, bucket: str, key: str, data: bytes, metadata: Mapping[str, str]) -> None:
        objects = self.account.store.bucket(bucket).objects
        objects[key] = self.account.objects.stored(key, data, crc32(data), metadata, {})

    def remove(self, bucket: str, key: str) -> None:
        del self.account.store.bucket(bucket).objects[key]

    def object(self, bucket: str, key: str) -> bytes:
        self.account.jobs.look(key)
        return self.account.store.object(bucket, key).content.whole()

    def objects(self, bucket: str) -> dict[str, ObjectView]:
        self.account.jobs.look_at_all()
        found = self.account.store.buckets[bucket].objects
        return {key: ObjectView(it.size, it.metadata, it.headers, it.checksum) for key, it in found.items()}

    def set_bucket(self, bucket: str, denied: bool, listable: bool) -> None:
        found = self.account.store.buckets[bucket]
        found.denied, found.listable = denied, listable

    def set_queue(self, name: str, queue: Queue) -> None:
        self.account.queues.queues[name] = queue

    def uploads(self) -> list[UploadView]:
        return [
            UploadView(it.id, it.bucket, it.key, {number: part.size for number, part in it.parts.items()})
            for it in self.account.store.uploads.values()
        ]

    def jobs(self, names: Names) -> list[JobView]:
        now = self.account.clock.now()
        return [
            JobView(
                job.id,
                job.name,
                job.status(now),
                job.reason,
                sum(run.start <= now for run in job.runs),
                job.is_terminated,
                job.environment,
                job.asked,
            )
            for job in self.account.jobs.named(names)
        ]

    def definitions(self) -> list[dict[str, Any]]:
        return self.account.definitions.revisions

    def calls(self, operation: str | None) -> list[Call]:
        return [call for call in self.account.recorder.calls if operation in (None, call.operation)]

    def counts(self) -> Counter[str]:
        return self.account.recorder.counts

    def start(self) -> float:
        return self.account.start

    def struck(self) -> Counter[str]:
        return self.account.recorder.faults


async def serve(control: socket.socket) -> None:
    """Runs a stand-in until the other end of the socket is closed.

    Args:
        control: On which first of all the setup arrives.
    """
    reader, writer = await asyncio.open_connection(sock=control)
    controller = Controller(await _receive(reader))
    server = await listen(controller.answer)
    _send(writer, (True, server.sockets[0].getsockname()[1]))
    try:
        while True:
            name, arguments = await _receive(reader)
            try:
                answer = (True, getattr(controller, name)(*arguments))
            except Exception as error:  # noqa: BLE001  (whatever it is, the test must see it)
                answer = (False, error)
            _send(writer, answer)
    except asyncio.IncompleteReadError:
        pass
    finally:
        server.close()
        writer.close()


async def _receive(reader: asyncio.StreamReader) -> Any:
    size = int.from_bytes(await reader.readexactly(_HEADER), "big")
    return pickle.loads(await reader.readexactly(size))


def _send(writer: asyncio.StreamWriter, message: Any) -> None:
    data = cloudpickle.dumps(message)
    writer.write(len(data).to_bytes(_HEADER, "big") + data)


class Remote:
    """The test's end of the socket. Safe to use from several threads.

    Args:
        control: The socket.
        setup: For the stand-in.
    """

    def __init__(self, control: socket.socket, setup: Setup) -> None:
        self._lock = threading.Lock()
        self._file = control.makefile("rwb")
        self.port: int = self._ask(setup)

    def __call__(self, name: str, *arguments: Any) -> Any:
        """Has a method of the `Controller` called; what it raises is raised here."""
        with self._lock:
            return self._ask((name, arguments))

    def close(self) -> None:
        """Ends the stand-in."""
        self._file.close()

    def _ask(self, message: Any) -> Any:
        data = cloudpickle.dumps(message)
        try:
            self._file.write(len(data).to_bytes(_HEADER, "big") + data)
            self._file.flush()
            header = self._file.read(_HEADER)
        except OSError:
            header = b""
        if len(header) < _HEADER:
            raise RuntimeError("the stand-in has ended; its own words stand on the error stream")
        well, answer = pickle.loads(self._file.read(int.from_bytes(header, "big")))
        if not well:
            raise answer
        return answer
