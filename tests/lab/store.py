"""Buckets, their objects and unfinished uploads."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from .messages import AwsError


@dataclass(frozen=True)
class Content:
    """Bytes in pieces, which a multipart upload need not join."""

    pieces: tuple[bytes, ...] = ()

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(map(len, self.pieces))

    def cut(self, start: int, end: int) -> list[memoryview]:
        """The bytes from `start` up to `end`, not copied."""
        found, offset = [], 0
        for piece in self.pieces:
            if offset < end and offset + len(piece) > start:
                found.append(memoryview(piece)[max(0, start - offset) : end - offset])
            offset += len(piece)
        return found

    def whole(self) -> bytes:
        """All of it in one piece."""
        return b"".join(self.pieces)


@dataclass(frozen=True)
class Stored:
    """An object.

    Attributes:
        size: Bytes that were sent, also where the content was not kept.
        checksum: CRC32 in base64, of many parts with their number behind it.
        metadata: User metadata.
        headers: Others that were sent with it and come back: content type, encryption.
        modified: Seconds since 1970.
    """

    content: Content
    size: int
    checksum: str
    etag: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    modified: float = field(default_factory=time.time)


@dataclass
class Upload:
    """A multipart upload that is neither finished nor aborted."""

    bucket: str
    key: str
    metadata: Mapping[str, str]
    headers: Mapping[str, str]
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    parts: dict[int, Stored] = field(default_factory=dict)


@dataclass
class Bucket:
    """A bucket.

    Attributes:
        denied: Whether every call on it is.
        listable: Whether the caller may list it. Who may not, is told "denied" of an object that is not there.
        owner: Account that it belongs to; empty for the laboratory's own.
        region: Region that a call on it has to be signed for; empty for any.
        tells: Whether who asks for it elsewhere is told where it is.
    """

    denied: bool = False
    listable: bool = True
    owner: str = ""
    region: str = ""
    tells: bool = True
    objects: dict[str, Stored] = field(default_factory=dict)

    def elsewhere(self, region: str, head: bool) -> AwsError | None:
        """What S3 answers to a call that is signed for another region than the bucket's.

        Args:
            region: What the call is signed for.
            head: Whether it is a HEAD, to which the other one of two answers is given.
        """
        if self.region in ("", region):
            return None
        told = {"x-amz-bucket-region": self.region} if self.tells else {}
        if head:
            message = f"The authorization header is malformed; the region '{region}' is wrong"
            return AwsError("AuthorizationHeaderMalformed", message, 400, told)
        message = "The bucket you are attempting to access must be addressed using the specified endpoint."
        return AwsError("PermanentRedirect", message, 301, told)


class Store:
    """All buckets of the account."""

    def __init__(self) -> None:
        self.buckets: dict[str, Bucket] = {}
        self.uploads: dict[str, Upload] = {}

    def bucket(self, name: str) -> Bucket:
        """The bucket of this name.

        Raises:
            AwsError: There is none, or it is denied.
        """
        bucket = self.buckets.get(name)
        if bucket is None:
            raise AwsError("NoSuchBucket", "The specified bucket does not exist", 404)
        if bucket.denied:
            raise AwsError("AccessDenied", "Access Denied", 403)
        return bucket

    def object(self, bucket: str, key: str) -> Stored:
        """The object of this key.

        Raises:
            AwsError: There is none, or it is denied.
        """
        found = self.bucket(bucket)
        if key in found.objects:
            return found.objects[key]
        if not found.listable:
            raise AwsError("AccessDenied", "Access Denied", 403)
        raise AwsError("NoSuchKey", "The specified key does not exist.", 404)

    def upload(self, upload_id: str) -> Upload:
        """The unfinished upload of this id.

        Raises:
            AwsError: There is none.
        """
        if upload_id not in self.uploads:
            message = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been "
            raise AwsError("NoSuchUpload", message + "aborted or completed.", 404)
        return self.uploads[upload_id]
