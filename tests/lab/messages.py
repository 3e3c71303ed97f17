"""Requests, replies and errors, in the forms that the services use."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any
from urllib.parse import parse_qsl, unquote

_SCOPE = re.compile(r"Credential=([^/]+)/")
_REGION = re.compile(r"Credential=[^/]+/\d+/([^/]+)/")


class Request:
    """What a client asked for; the names of headers are in lower case, path and query are decoded."""

    __slots__ = ("body", "headers", "method", "path", "query")

    def __init__(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> None:
        path, _, query = target.partition("?")
        self.method = method
        self.path = unquote(path) if "%" in path else path
        self.query: dict[str, str] = dict(parse_qsl(query, keep_blank_values=True)) if query else {}
        self.headers = headers
        self.body = body

    @property
    def access_key(self) -> str:
        """Access key id of the credentials that signed the request; empty if it is not signed."""
        found = _SCOPE.search(self.headers.get("authorization", ""))
        return found[1] if found else ""

    @property
    def region(self) -> str:
        """Region that the request was signed for; empty if it is not signed."""
        found = _REGION.search(self.headers.get("authorization", ""))
        return found[1] if found else ""


@dataclass
class Reply:
    """What the server says.

    Attributes:
        body: In pieces, so that a large object is not copied.
        length: Announced length where it is not the body's: an answer to HEAD.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: Sequence[bytes | memoryview] = ()
    length: int | None = None

    @property
    def size(self) -> int:
        """Bytes that are announced."""
        return sum(map(len, self.body)) if self.length is None else self.length


class AwsError(Exception):
    """An error that a service answers.

    Args:
        code: AWS's error code.
        message: What the service says.
        status: HTTP status.
        headers: Further headers of the answer.
    """

    def __init__(
        self, code: str, message: str = "", status: int = 400, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.headers = dict(headers or {})


def json_reply(content: Any, target: bool = False) -> Reply:
    """An answer of a service that speaks JSON; `target` for those that are called by `x-amz-target`."""
    kind = "application/x-amz-json-1.1" if target else "application/json"
    return Reply(200, {"content-type": kind}, (json.dumps(content).encode(),))


def xml_reply(text: str) -> Reply:
    """An answer of a service that speaks XML."""
    return Reply(
        200, {"content-type": "application/xml"}, (f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode(),)
    )


def error_reply(service: str, error: AwsError, request_id: str, head: bool = False) -> Reply:
    """An error in the form of its service; an answer to HEAD has no body, and so no code either."""
    headers = dict(error.headers)
    if service == "s3":
        body = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{error.code}</Code>'
            f"<Message>{escape(error.message)}</Message><RequestId>{request_id}</RequestId><HostId>lab</HostId></Error>"
        )
        headers["content-type"] = "application/xml"
    elif service == "sts":
        sender = "Sender" if error.status < 500 else "Receiver"
        body = (
            '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>'
            f"<Type>{sender}</Type><Code>{error.code}</Code><Message>{escape(error.message)}</Message></Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
        headers["content-type"] = "text/xml"
    elif service == "batch":
        body = json.dumps({"message": error.message})
        headers["content-type"] = "application/json"
        headers["x-amzn-errortype"] = error.code
    else:
        body = json.dumps({"__type": error.code, "message": error.message})
        headers["content-type"] = "application/x-amz-json-1.1"
    return Reply(error.status, headers, () if head else (body.encode(),))
