"""How much the stand-in can take: `python -m lab.measure`, with `tests/` on PYTHONPATH.

The load comes from a process of its own, over several connections that each send the next request when they have the
answer to the last one; what counts is the processor time of the stand-in.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import uvloop

from . import Lab

CONNECTIONS = 16
_AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=AKIALOAD/20250101/us-east-1/any/aws4_request, Signature=0"


class _Sender(asyncio.Protocol):
    """Sends the same request again and again."""

    def __init__(self, request: bytes, count: int, done: asyncio.Future[None]) -> None:
        self._request, self._left, self._done = request, count, done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        # The answers of this measurement are small: head and body arrive at once.
        if not data.startswith(b"HTTP/1.1 200"):
            self._done.set_exception(RuntimeError(data.decode()))
            return
        self._left -= 1
        if self._left:
            self._transport.write(self._request)  # type: ignore[attr-defined]
        else:
            self._transport.close()
            self._done.set_result(None)


async def _load(port: int, request: bytes, count: int) -> float:
    loop = asyncio.get_running_loop()
    ends = [loop.create_future() for _ in range(CONNECTIONS)]
    start = time.perf_counter()
    for end in ends:
        await loop.create_connection(partial(_Sender, request, count // CONNECTIONS, end), "127.0.0.1", port)
    await asyncio.gather(*ends)
    return time.perf_counter() - start


def _request(method: str, path: str, body: bytes = b"") -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        "host: lab",
        f"authorization: {_AUTHORIZATION}",
        f"content-length: {len(body)}",
    ]
    return "\r\n".join([*lines, "\r\n"]).encode() + body


def _cpu(pid: int) -> float:
    """Seconds of processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rates(lab: Lab, count: int) -> Iterator[tuple[str, float, float]]:
    """Measures each kind of request: its name, how many a second, and seconds of the stand-in's processor for one.

    Args:
        lab: A stand-in that is used for nothing else.
        count: Requests of each kind.
    """
    batch = lab.boto3("batch")
    properties = {"image": "image", "vcpus": 1, "memory": 64}
    batch.register_job_definition(jobDefinitionName="d", type="container", containerProperties=properties)
    variables = [{"name": f"VARIABLE_{index}", "value": "value" * 5} for index in range(5)]
    submit = {
        "jobName": "job",
        "jobQueue": "lab-queue",
        "jobDefinition": "d",
        "containerOverrides": {"environment": variables},
    }
    job = batch.submit_job(**submit)["jobId"]
    lab.plant("key", b"x" * 1000)
    kinds = {
        "GetObject of 1 kB": _request("GET", "/lab-bucket/key"),
        "PutObject of 1 kB": _request("PUT", "/lab-bucket/other", b"x" * 1000),
        "SubmitJob": _request("POST", "/v1/submitjob", json.dumps(submit).encode()),
        "DescribeJobs of one": _request("POST", "/v1/describejobs", json.dumps({"jobs": [job]}).encode()),
    }
    for name, request in kinds.items():
        before = _cpu(lab.pid)
        seconds = uvloop.run(_load(lab.port, request, count))
        yield name, count / seconds, (_cpu(lab.pid) - before) / count


def main(count: int = 20_000) -> None:
    """Measures and prints a line for each kind of request."""
    with Lab() as lab:
        for name, per_second, cpu in rates(lab, count):
            print(f"{name:22} {per_second:8,.0f}/s, {cpu * 1e6:5.0f} µs of the stand-in's processor a call")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
