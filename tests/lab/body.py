"""What is sent to S3: chunks of their own kind, and checksums."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Mapping

from .messages import AwsError, Request

CRC32 = "x-amz-checksum-crc32"


def content(request: Request) -> tuple[bytes, str]:
    """The content of a request and its CRC32 in base64.

    Raises:
        AwsError: The content is cut short, or is not what a checksum or digest with it says.
    """
    body, sums = request.body, request.headers
    if (
        "aws-chunked" in request.headers.get("content-encoding", "")
        or "x-amz-decoded-content-length" in request.headers
    ):
        body, trailer = _dechunked(body)
        sums = {**request.headers, **trailer}
        if len(body) != int(request.headers.get("x-amz-decoded-content-length", len(body))):
            raise AwsError("IncompleteBody", "The request body terminated unexpectedly")
    _check_digest(body, sums)
    actual = crc32(body)
    if sums.get(CRC32, actual) != actual:
        raise AwsError("BadDigest", "The CRC32 you specified did not match the calculated checksum.")
    return body, actual


def crc32(data: bytes) -> str:
    """The checksum as S3 writes it."""
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def combined(checksums: list[str]) -> str:
    """The checksum of an object that came in parts: that of the parts' checksums, and their number."""
    return f"{crc32(b''.join(map(base64.b64decode, checksums)))}-{len(checksums)}"


def etag(checksum: str, size: int) -> str:
    """An entity tag that differs where the content does; AWS only says that it need not be an MD5."""
    crc = base64.b64decode(checksum.split("-", maxsplit=1)[0]).hex()
    return f'"{crc}{size:024x}"'


def _check_digest(body: bytes, headers: Mapping[str, str]) -> None:
    digest = headers.get("content-md5")
    if digest and base64.b64decode(digest) != hashlib.md5(body).digest():
        raise AwsError("BadDigest", "The Content-MD5 you specified did not match what we received.")


def _dechunked(body: bytes) -> tuple[bytes, dict[str, str]]:
    """The content of `aws-chunked` pieces, each headed by its length and perhaps a signature; and the trailer."""
    pieces, position = [], 0
    while True:
        end = body.find(b"\r\n", position)
        if end < 0:
            raise AwsError("IncompleteBody", "The request body terminated unexpectedly")
        size = int(body[position:end].split(b";")[0], 16)
        position = end + 2
        if not size:
            break
        pieces.append(memoryview(body)[position : position + size])
        position += size + 2
    trailer = {}
    for line in body[position:].split(b"\r\n"):
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            trailer[name.strip().lower()] = value.strip()
    return b"".join(pieces), trailer
