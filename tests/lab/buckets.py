"""S3: buckets, and lists of what is in them."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from time import gmtime, strftime

from .messages import AwsError, Reply, xml_reply
from .routes import Asked
from .s3 import NAMESPACE
from .store import Bucket, Store


class Buckets:
    """Answers for the buckets of the store.

    Args:
        store: What there is.
        look: Called before a list is made, since jobs leave their results when somebody looks.
    """

    def __init__(self, store: Store, look: Callable[[], None]) -> None:
        self._store = store
        self._look = look

    def list_buckets(self, _: Asked) -> Reply:
        """Names the buckets."""
        names = "".join(f"<Bucket><Name>{name}</Name></Bucket>" for name in sorted(self._store.buckets))
        return xml_reply(f"<ListAllMyBucketsResult {NAMESPACE}><Buckets>{names}</Buckets></ListAllMyBucketsResult>")

    def create_bucket(self, asked: Asked) -> Reply:
        """Makes a bucket."""
        self._store.buckets.setdefault(asked.parameters["Bucket"], Bucket())
        return Reply(200, {"location": f"/{asked.parameters['Bucket']}"})

    def head_bucket(self, asked: Asked) -> Reply:
        """Tells whether there is a bucket."""
        bucket = self._store.bucket(asked.parameters["Bucket"])
        return Reply(200, {"x-amz-bucket-region": bucket.region or "us-east-1"})

    def list_objects_v2(self, asked: Asked) -> Reply:
        """Lists objects in the order of their keys."""
        bucket = self._store.bucket(asked.parameters["Bucket"])
        if not bucket.listable:
            raise AwsError("AccessDenied", "Access Denied", 403)
        self._look()
        prefix = asked.parameters.get("prefix", "")
        after = asked.parameters.get("continuation-token") or asked.parameters.get("start-after", "")
        size = min(1000, int(asked.parameters.get("max-keys", 1000)))
        keys = sorted(key for key in bucket.objects if key.startswith(prefix) and key > after)
        page, more = keys[:size], len(keys) > size
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{_iso(bucket.objects[key].modified)}</LastModified>"
            f"<ETag>{escape(bucket.objects[key].etag)}</ETag><Size>{bucket.objects[key].size}</Size></Contents>"
            for key in page
        )
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        return xml_reply(
            f"<ListBucketResult {NAMESPACE}><Name>{asked.parameters['Bucket']}</Name><Prefix>{escape(prefix)}</Prefix>"
            f"<KeyCount>{len(page)}</KeyCount><MaxKeys>{size}</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>"
            f"{token}{contents}</ListBucketResult>"
        )

    def list_multipart_uploads(self, asked: Asked) -> Reply:
        """Lists uploads that are neither finished nor aborted."""
        name = asked.parameters["Bucket"]
        self._store.bucket(name)
        uploads = "".join(
            f"<Upload><Key>{escape(upload.key)}</Key><UploadId>{upload.id}</UploadId></Upload>"
            for upload in self._store.uploads.values()
            if upload.bucket == name
        )
        return xml_reply(
            f"<ListMultipartUploadsResult {NAMESPACE}><Bucket>{name}</Bucket><IsTruncated>false</IsTruncated>"
            f"{uploads}</ListMultipartUploadsResult>"
        )


def _iso(moment: float) -> str:
    return strftime("%Y-%m-%dT%H:%M:%S.000Z", gmtime(moment))
