"""S3: objects in one piece."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from email.utils import formatdate
from fnmatch import fnmatchcase
from html import escape, unescape

from . import body
from .messages import AwsError, Reply, xml_reply
from .routes import Asked
from .store import Content, Store, Stored

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")
_META = "x-amz-meta-"
_ENCRYPTION = "x-amz-server-side-encryption"
_MISMATCH = "At least one of the pre-conditions you specified did not hold"


class Objects:
    """Answers for the objects of the store.

    Args:
        store: What there is.
        discard: Pattern of keys whose content is checked and counted, but not kept.
        look: Called with a key before it is read, since a job leaves its result when somebody looks.
    """

    def __init__(self, store: Store, discard: str, look: Callable[[str], None]) -> None:
        self._store = store
        self._discard = discard
        self._look = look

    def put_object(self, asked: Asked) -> Reply:
        """Stores an object."""
        bucket, key = self._store.bucket(asked.parameters["Bucket"]), asked.parameters["Key"]
        headers = asked.request.headers
        data, checksum = body.content(asked.request)
        if headers.get("if-none-match") == "*" and key in bucket.objects:
            raise AwsError("PreconditionFailed", _MISMATCH, 412)
        stored = self.stored(key, data, checksum, user_metadata(headers), own_headers(headers))
        bucket.objects[key] = stored
        return Reply(200, {"etag": stored.etag, body.CRC32: checksum, **encryption(stored.headers)})

    def stored(
        self, key: str, data: bytes, checksum: str, metadata: Mapping[str, str], headers: Mapping[str, str]
    ) -> Stored:
        """An object, or a part of one, as it is kept."""
        kept = Content() if self._discard and fnmatchcase(key, self._discard) else Content((data,))
        return Stored(kept, len(data), checksum, body.etag(checksum, len(data)), metadata, headers)

    def get_object(self, asked: Asked) -> Reply:
        """Brings an object, or a range of it."""
        stored, headers = self._found(asked)
        if stored.content.size != stored.size:
            raise AwsError("InternalError", "The laboratory was told to discard the content of this object.", 501)
        span = _span(asked.request.headers.get("range", ""), stored.size)
        if span is None:
            if asked.request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED":
                headers[body.CRC32] = stored.checksum
                headers["x-amz-checksum-type"] = "COMPOSITE" if "-" in stored.checksum else "FULL_OBJECT"
            return Reply(200, headers, stored.content.pieces)
        start, end = span
        headers["content-range"] = f"bytes {start}-{end - 1}/{stored.size}"
        return Reply(206, headers, stored.content.cut(start, end))

    def head_object(self, asked: Asked) -> Reply:
        """Tells about an object."""
        stored, headers = self._found(asked)
        return Reply(200, headers, (), stored.size)

    def delete_object(self, asked: Asked) -> Reply:
        """Removes an object, whether it is there or not."""
        key = asked.parameters["Key"]
        self._look(key)
        self._store.bucket(asked.parameters["Bucket"]).objects.pop(key, None)
        return Reply(204)

    def delete_objects(self, asked: Asked) -> Reply:
        """Removes several objects."""
        data, _ = body.content(asked.request)
        keys = [unescape(key) for key in re.findall(r"<Key>(.*?)</Key>", data.decode(), re.DOTALL)]
        if not 1 <= len(keys) <= 1000:
            raise AwsError("MalformedXML", "The XML you provided was not well-formed")
        for key in keys:
            self._look(key)
            self._store.bucket(asked.parameters["Bucket"]).objects.pop(key, None)
        deleted = "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
        return xml_reply(f"<DeleteResult {NAMESPACE}>{deleted}</DeleteResult>")

    def _found(self, asked: Asked) -> tuple[Stored, dict[str, str]]:
        bucket, key = asked.parameters["Bucket"], asked.parameters["Key"]
        self._look(key)
        stored = self._store.object(bucket, key)
        wanted = asked.request.headers.get("if-match", "")
        if wanted and wanted.strip('"') != stored.etag.strip('"'):
            raise AwsError("PreconditionFailed", _MISMATCH, 412)
        headers = {
            "etag": stored.etag,
            "accept-ranges": "bytes",
            "last-modified": formatdate(stored.modified, usegmt=True),
            "content-type": stored.headers.get("content-type", "binary/octet-stream"),
            **encryption(stored.headers),
        }
        headers.update({_META + name: value for name, value in stored.metadata.items()})
        return stored, headers


def user_metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """The user metadata that a request sets."""
    return {name.removeprefix(_META): value for name, value in headers.items() if name.startswith(_META)}


def own_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """What S3 keeps of a request's headers besides, and what tests may want to see."""
    kept = ("content-type", "x-amz-expected-bucket-owner", "x-amz-tagging", "x-amz-storage-class")
    return {name: value for name, value in headers.items() if name in kept or name.startswith(_ENCRYPTION)}


def encryption(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers about encryption, which come back with each answer."""
    return {name: value for name, value in headers.items() if name.startswith(_ENCRYPTION)}


def _span(header: str, size: int) -> tuple[int, int] | None:
    """First byte of a range and the one after its last; None for the whole object."""
    found = _RANGE.match(header)
    if not found or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if start >= end:
        headers = {"content-range": f"bytes */{size}"}
        raise AwsError("InvalidRange", "The requested range is not satisfiable", 416, headers)
    return start, end
