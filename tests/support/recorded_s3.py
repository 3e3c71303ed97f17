"""An S3 that keeps objects, behind a proxy that records what the core asks of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3

from covalent_awsbatch_plugin._core import Client

from .servers import Answer, HttpServer, Request, forward_to

BUCKET, KEY = "bucket", "a key/with ümlaut"


class S3:
    """Moto's S3 behind a proxy that records what the core asks, and may be told to interfere.

    Args:
        url: Of moto.
        directory: A place for the core's credentials.

    Attributes:
        s3: A boto3 client that does not pass the proxy.
        client: The core's client, which passes it.
        before: Called with each request of the core before it is answered; an answer of its own replaces moto's.
    """

    def __init__(self, url: str, directory: Path) -> None:
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        self.s3 = boto3.client("s3", endpoint_url=url, **keys)
        self.s3.create_bucket(Bucket=BUCKET)
        self.before: Callable[[Request], Answer | None] = lambda _: None
        forward = forward_to(url)
        self.proxy = HttpServer(lambda request: self.before(request) or forward(request))
        credentials = directory / "credentials"
        credentials.write_text("[default]\naws_access_key_id = test\naws_secret_access_key = test\n")
        access = {"endpoint_url": self.proxy.url, "region": "us-east-1", "credentials": str(credentials)}
        self.client = Client(json.dumps(access))

    @property
    def calls(self) -> list[str]:
        """The core's calls so far, each as the method and the names of the query's parameters."""
        return [call(request) for request in self.proxy.requests]

    def forget(self) -> None:
        """Begins anew."""
        self.proxy.requests.clear()
        self.before = lambda _: None

    def put(self, data: bytes, **more: Any) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=KEY, Body=data, **more)

    def is_there(self) -> bool:
        return "Contents" in self.s3.list_objects_v2(Bucket=BUCKET)

    def uploads(self) -> list[Any]:
        """The multipart uploads that are neither finished nor aborted."""
        found: list[Any] = self.s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        return found


def call(request: Request) -> str:
    """The method and the names of the query's parameters."""
    parameters = parse_qs(urlsplit(request.path).query, keep_blank_values=True)
    return " ".join([request.method, *sorted(parameters.keys() - {"x-id"})])


CREATE, SEND, COMPLETE, ABORT = "POST uploads", "PUT partNumber uploadId", "POST uploadId", "DELETE uploadId"
