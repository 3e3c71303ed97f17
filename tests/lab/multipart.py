"""S3: objects that are sent in parts."""

from __future__ import annotations

import re
from html import escape
from itertools import chain

from . import body
from .messages import AwsError, Reply, xml_reply
from .routes import Asked
from .s3 import NAMESPACE, Objects, encryption, own_headers, user_metadata
from .store import Content, Store, Stored, Upload

SMALLEST_PART = 5 * 1024 * 1024
_PART = re.compile(r"<Part>(.*?)</Part>", re.DOTALL)
_FIELD = re.compile(r"<(PartNumber|ETag|ChecksumCRC32)>(.*?)</", re.DOTALL)


class Multipart:
    """Answers for uploads in parts.

    Args:
        store: What there is.
        objects: Makes what is kept of a part.
    """

    def __init__(self, store: Store, objects: Objects) -> None:
        self._store = store
        self._objects = objects

    def create_multipart_upload(self, asked: Asked) -> Reply:
        """Begins an upload."""
        bucket, key = asked.parameters["Bucket"], asked.parameters["Key"]
        self._store.bucket(bucket)
        headers = asked.request.headers
        upload = Upload(bucket, key, user_metadata(headers), own_headers(headers))
        self._store.uploads[upload.id] = upload
        asked.facts["UploadId"] = upload.id
        reply = xml_reply(
            f"<InitiateMultipartUploadResult {NAMESPACE}><Bucket>{bucket}</Bucket><Key>{escape(key)}</Key>"
            f"<UploadId>{upload.id}</UploadId></InitiateMultipartUploadResult>"
        )
        reply.headers.update(encryption(upload.headers))
        return reply

    def upload_part(self, asked: Asked) -> Reply:
        """Takes a part; one of the same number is replaced."""
        self._store.bucket(asked.parameters["Bucket"])
        upload, number = self._store.upload(asked.parameters["uploadId"]), int(asked.parameters["partNumber"])
        if not 1 <= number <= 10_000:
            raise AwsError("InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive")
        data, checksum = body.content(asked.request)
        part = self._objects.stored(upload.key, data, checksum, {}, {})
        upload.parts[number] = part
        return Reply(200, {"etag": part.etag, body.CRC32: checksum, **encryption(upload.headers)})

    def complete_multipart_upload(self, asked: Asked) -> Reply:
        """Makes the object appear, if the client names the parts as they are."""
        bucket = self._store.bucket(asked.parameters["Bucket"])
        upload = self._store.upload(asked.parameters["uploadId"])
        parts = _listed(asked.request.body.decode(), upload)
        checksum = body.combined([part.checksum for part in parts])
        size = sum(part.size for part in parts)
        content = Content(tuple(chain.from_iterable(part.content.pieces for part in parts)))
        tag = body.etag(checksum, size).rstrip('"') + f'-{len(parts)}"'
        bucket.objects[upload.key] = Stored(content, size, checksum, tag, upload.metadata, upload.headers)
        del self._store.uploads[upload.id]
        return xml_reply(
            f"<CompleteMultipartUploadResult {NAMESPACE}>"
            f"<Bucket>{upload.bucket}</Bucket><Key>{escape(upload.key)}</Key>"
            f"<ETag>{escape(tag)}</ETag><ChecksumCRC32>{checksum}</ChecksumCRC32></CompleteMultipartUploadResult>"
        )

    def abort_multipart_upload(self, asked: Asked) -> Reply:
        """Forgets an upload and its parts."""
        del self._store.uploads[self._store.upload(asked.parameters["uploadId"]).id]
        return Reply(204)

    def list_parts(self, asked: Asked) -> Reply:
        """Lists the parts that have arrived."""
        upload = self._store.upload(asked.parameters["uploadId"])
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(part.etag)}</ETag><Size>{part.size}</Size></Part>"
            for number, part in sorted(upload.parts.items())
        )
        return xml_reply(
            f"<ListPartsResult {NAMESPACE}><Key>{escape(upload.key)}</Key><UploadId>{upload.id}</UploadId>{parts}"
            "<IsTruncated>false</IsTruncated></ListPartsResult>"
        )


def _listed(xml: str, upload: Upload) -> list[Stored]:
    """The parts that a client names, checked as S3 does."""
    named = [dict(_FIELD.findall(part)) for part in _PART.findall(xml)]
    numbers = [int(part["PartNumber"]) for part in named]
    if not numbers:
        raise AwsError("MalformedXML", "The XML you provided was not well-formed")
    if numbers != sorted(set(numbers)):
        raise AwsError("InvalidPartOrder", "The list of parts was not in ascending order.")
    parts = []
    for number, part in zip(numbers, named, strict=True):
        found = upload.parts.get(number)
        tag = part.get("ETag", "").replace("&quot;", "").replace("&#34;", "").strip('"')
        if found is None or found.etag.strip('"') != tag or part.get("ChecksumCRC32", found.checksum) != found.checksum:
            raise AwsError("InvalidPart", "One or more of the specified parts could not be found.")
        parts.append(found)
    if any(part.size < SMALLEST_PART for part in parts[:-1]):
        raise AwsError("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
    return parts
