"""Requests signed by hand, so that each part of a signature can be wrong; and a proxy in front of the embedded AWS."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from botocore.auth import SIGV4_TIMESTAMP, S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from covalent_awsbatch_plugin.local import LocalAWS

from .servers import Answer, Request, forward_to


def credentials_of(aws: LocalAWS) -> Credentials:
    """The key of a run."""
    return Credentials(aws.environment["AWS_ACCESS_KEY_ID"], aws.environment["AWS_SECRET_ACCESS_KEY"])


def signed(
    credentials: Credentials,
    request: Request,
    *,
    service: str,
    region: str = "us-east-1",
    age: dt.timedelta = dt.timedelta(0),
) -> dict[str, str]:
    """The headers of a request with its signature among them; all are signed.

    Args:
        credentials: Whose signature.
        request: The request; its headers name the host.
        service: The service that it is for.
        region: Its region.
        age: How long ago it was signed.
    """
    url = f"http://{request.headers['host']}{request.path}"
    wire = AWSRequest(request.method, url, dict(request.headers), request.body)
    wire.context["timestamp"] = (dt.datetime.now(dt.timezone.utc) - age).strftime(SIGV4_TIMESTAMP)
    wire.headers["X-Amz-Date"] = wire.context["timestamp"]
    if credentials.token:
        wire.headers["X-Amz-Security-Token"] = credentials.token
    kind: type[SigV4Auth] = S3SigV4Auth if service == "s3" else SigV4Auth
    auth = kind(credentials, service, region)
    text = auth.string_to_sign(wire, auth.canonical_request(wire))
    return dict(auth._inject_signature_to_request(wire, auth.signature(text, wire)).headers.items())


def forward_signed(aws: LocalAWS) -> Callable[[Request], Answer]:
    """An answer that the embedded AWS gives, for a recording proxy in front of it.

    It goes by one name and checks signatures, which cover that name; so what the proxy was asked is signed again.
    """
    forward = forward_to(aws.endpoint_url)
    host = urlsplit(aws.endpoint_url).netloc

    def answer(request: Request) -> Answer:
        authorization = request.headers.get("authorization", "")
        found = re.search(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/.*SignedHeaders=([^,]+)", authorization)
        if not found:
            return forward(request)
        region, service, names = found[1], found[2], found[3].split(";")
        kept = {name: value for name, value in request.headers.items() if name in names and name != "x-amz-date"}
        plain = Request(request.method, request.path, {**kept, "host": host}, request.body)
        headers = {name: value for name, value in request.headers.items() if name not in (*names, "authorization")}
        again = signed(credentials_of(aws), plain, service=service, region=region)
        return forward(Request(request.method, request.path, {**headers, **again}, request.body))

    return answer
