"""Plain HTTP to the stand-in, for what no client library would send or show."""

from __future__ import annotations

import http.client

from .laboratory import Lab

_SIGNED = {"authorization": "AWS4-HMAC-SHA256 Credential=AKIAPLAIN/20250101/us-east-1/any/aws4_request, Signature=0"}


def ask(lab: Lab, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Sends a request on a connection of its own.

    Args:
        lab: Where to.
        method: Such as `GET`.
        path: With the query, if any.
        body: What to send.
        **headers: With `_` for `-`.

    Returns:
        Status, headers with their names in lower case, and body.
    """
    connection = http.client.HTTPConnection("127.0.0.1", lab.port)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, body, {**_SIGNED, **named})
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()
