"""As much of S3 as the core uses, with the checksums as AWS has them, and STS to say who is calling."""

from __future__ import annotations

import asyncio
import base64
import re
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import parse_qs, urlsplit

from covalent_awsbatch_plugin._core import Client

from . import sts
from .servers import Answer, HttpServer, Request

OWNER = sts.ACCOUNT
PART = 16 * 1024 * 1024

DENIED = Answer(b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>", 403)
_MISSING = Answer(b"<Error><Code>NoSuchKey</Code><Message>It is not there.</Message></Error>", 404)


def data_of(size: int) -> bytes:
    """So many bytes, always the same."""
    return Random(size).randbytes(size)


def do(call: Callable[[], Awaitable[Any]]) -> Any:
    """What a call comes to that wants an event loop to be made in."""

    async def called() -> Any:
        return await call()

    return asyncio.run(called())


def write(client: Client, data: bytes) -> None:
    """Puts `s3://bucket/key` there."""
    with client.writer("bucket", "key") as writer:
        writer.write(data)


def crc32(data: bytes) -> str:
    """The checksum as S3 writes it."""
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


@dataclass(frozen=True)
class Stored:
    """An object: its content, and the headers that come back with it."""

    data: bytes
    headers: Mapping[str, str]


class Bucket:
    """A bucket of the account that `support.sts` knows.

    Attributes:
        objects: By path, such as `/bucket/key`.
        meddle: What becomes of each answer on its way to the client; to begin with, nothing.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Stored] = {}
        self.meddle: Callable[[Request, Answer], Answer] = lambda _, answer: answer
        self._parts: dict[int, bytes] = {}
        self.server = HttpServer(lambda request: self.meddle(request, self._answer(request)))

    @property
    def requests(self) -> list[Request]:
        """What S3 was asked so far."""
        return [request for request in self.server.requests if request.service == "s3"]

    def put(self, path: str, data: bytes, **headers: str) -> None:
        """Stores an object; the names of headers are written with underscores."""
        self.objects[path] = Stored(data, {name.replace("_", "-"): value for name, value in headers.items()})

    def _answer(self, request: Request) -> Answer:
        if request.service != "s3":
            return sts.answer(request)
        if request.headers.get("x-amz-expected-bucket-owner", OWNER) != OWNER:
            return DENIED
        path = urlsplit(request.path).path
        query = parse_qs(urlsplit(request.path).query, keep_blank_values=True)
        if request.method == "GET":
            return self._get(path, request.headers)
        if request.method == "DELETE":
            return Answer(status=204)
        if request.method == "PUT" and "partNumber" in query:
            self._parts[int(query["partNumber"][0])] = request.body
            return Answer(headers={"ETag": '"part"', "x-amz-checksum-crc32": crc32(request.body)})
        if request.method == "PUT":
            self.objects[path] = _stored(request.body)
            return Answer(headers={"ETag": '"whole"'})
        if "uploads" in query:
            return Answer(b"<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>")
        if "delete" in query:
            for key in re.findall("<Key>(.*?)</Key>", request.body.decode()):
                self.objects.pop(f"{path.rstrip('/')}/{key}", None)
            return Answer(b"<DeleteResult/>")
        data = b"".join(self._parts[number] for number in sorted(self._parts))
        self._parts.clear()
        self.objects[path] = _stored(data)
        checksum = f"<ChecksumCRC32>{crc32(data)}</ChecksumCRC32>"
        return Answer(f"<CompleteMultipartUploadResult>{checksum}</CompleteMultipartUploadResult>".encode())

    def _get(self, path: str, asked: Mapping[str, str]) -> Answer:
        stored = self.objects.get(path)
        if stored is None:
            return _MISSING
        etag = {"ETag": f'"{zlib.crc32(stored.data)}"'}
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", asked.get("range", ""))
        if found:
            start, end = int(found[1]), int(found[2]) + 1
            piece = stored.data[start:end]
            place = {"Content-Range": f"bytes {start}-{start + len(piece) - 1}/{len(stored.data)}"}
            # The checksum of the whole comes with the whole only.
            return Answer(piece, 206, {**etag, **place})
        wanted = asked.get("x-amz-checksum-mode") == "ENABLED"
        kept = {name: value for name, value in stored.headers.items() if wanted or "checksum" not in name}
        return Answer(stored.data, 200, {**etag, **kept})


def _stored(data: bytes) -> Stored:
    return Stored(data, {"x-amz-checksum-crc32": crc32(data), "x-amz-checksum-type": "FULL_OBJECT"})
