"""Parses and verifies AWS's Signature Version 4 of a request.

Botocore computes the signature
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html); this module only gives it
the request as it came over the wire.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Any
from urllib.parse import unquote

from botocore.auth import SIGV4_TIMESTAMP, UNSIGNED_PAYLOAD, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from .refusal import RefusedError

CLOCK_SKEW = dt.timedelta(minutes=15)
"""How far the clocks of AWS and client may be apart, as in the service."""

_MAX_PRESIGNED_SECONDS = 7 * 24 * 3600
_ALGORITHM = "AWS4-HMAC-SHA256"
_SCOPE = r"(?P<key>\w+)/(?P<day>\d{8})/(?P<region>[a-z0-9-]+)/(?P<service>[a-z0-9-]+)/aws4_request"
_CREDENTIAL = re.compile(_SCOPE, re.ASCII)
_AUTHORIZATION = re.compile(
    rf"{_ALGORITHM} +Credential={_SCOPE}, *SignedHeaders=(?P<headers>[^,\s]+), *Signature=(?P<signature>[0-9a-f]+)",
    re.ASCII,
)
# A body that the signature does not cover: over TLS, or with a trailing checksum.
_UNSIGNED_BODIES = (UNSIGNED_PAYLOAD, "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class SignedRequest:
    """A request's original line and headers, and the fields of its signature.

    Attributes:
        method: GET, PUT, …
        path: The path as it came, percent-encoded.
        query: The query as it came, without the signature.
        headers: All headers in order, the names in lower case.
        access_key: Id of the key that signed it.
        token: The session token that belongs to a temporary key.
        service: The service that it is for.
        body_hash: SHA-256 of the body in hex that is signed; None when nothing is said of it, in which case the body's
            own belongs into the signature; empty when the body is not signed.
    """

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    access_key: str
    token: str | None
    service: str
    body_hash: str | None
    _region: str
    _timestamp: str
    _signed: frozenset[str]
    _signature: str = field(repr=False)

    def check(self, credentials: Credentials, body_hash: str) -> None:
        """Compares the signature with the one that the key makes.

        Args:
            credentials: The key.
            body_hash: SHA-256 of the body, where the request does not say it itself.

        Raises:
            RefusedError: It is another one.
        """
        request = AWSRequest(self.method, f"http://embedded{self.path}?{self.query}")
        for name, value in self.headers:
            if name in self._signed:
                request.headers[name] = value
        request.context["timestamp"] = self._timestamp
        expected = _Expected(credentials, self.service, self._region, body_hash or UNSIGNED_PAYLOAD)
        text = expected.string_to_sign(request, expected.canonical_request(request))
        if not compare_digest(expected.signature(text, request), self._signature):
            raise RefusedError("SignatureDoesNotMatch", "The signature is not the one that this access key makes.")


class _Expected(SigV4Auth):  # type: ignore[misc]  # botocore has no types
    """Botocore's signer, which takes the headers that were signed for those to sign."""

    def __init__(self, credentials: Credentials, service: str, region: str, body_hash: str) -> None:
        super().__init__(credentials, service, region)
        self._body_hash = body_hash

    def headers_to_sign(self, request: AWSRequest) -> Any:
        return request.headers

    def payload(self, _request: AWSRequest) -> str:
        return self._body_hash

    def _normalize_url_path(self, path: str) -> str:
        # Only S3 does not normalize the path.
        return path if self._service_name == "s3" else str(super()._normalize_url_path(path))


def parse(method: str, target: str, headers: Sequence[tuple[str, str]]) -> SignedRequest:
    """Parses a request's signature from the header `Authorization` or, for S3, from the query.

    Args:
        method: The request's method.
        target: Path and query as they came.
        headers: Its headers as they came.

    Raises:
        RefusedError: It is not signed, not in a way that is understood, too old, or too little of it is signed.
    """
    path, _, query = target.partition("?")
    # The header parser decodes as Latin-1, and the client has signed UTF-8.
    lowered = [(name.lower(), value.encode("latin-1").decode("utf-8", "replace")) for name, value in headers]
    values = dict(lowered)
    if len([name for name, _ in lowered if name == "authorization"]) > 1:
        raise _incomplete()
    if "authorization" in values:
        found = _AUTHORIZATION.fullmatch(values["authorization"])
        if found is None:
            raise _incomplete()
        signature, names, timestamp = found["signature"], found["headers"], values.get("x-amz-date", "")
        token = values.get("x-amz-security-token")
        body_hash = _body_hash(values.get("x-amz-content-sha256"), found["service"])
        _check_time(timestamp, CLOCK_SKEW)
    else:
        query, given = _presigned(query)
        found = _CREDENTIAL.fullmatch(given.get("credential", ""))
        if given.get("algorithm") != _ALGORITHM or found is None or found["service"] != "s3":
            raise _incomplete() if given else RefusedError("MissingAuthenticationToken", "The request is not signed.")
        signature, names, timestamp = (given.get(name, "") for name in ("signature", "signedheaders", "date"))
        token, body_hash, expires = given.get("security-token"), "", given.get("expires", "")
        if not (expires.isascii() and expires.isdigit() and 0 < int(expires[:9]) <= _MAX_PRESIGNED_SECONDS):
            raise _incomplete()
        _check_time(timestamp, dt.timedelta(seconds=int(expires)))
    signed = frozenset(names.split(";"))
    # As in the service: an unsigned header could be added by anybody.
    if not {"host", *(name for name, _ in lowered if name.startswith("x-amz-"))} <= signed <= values.keys():
        raise RefusedError("SignatureDoesNotMatch", "Host and all headers x-amz-… must be signed, and be there.")
    if timestamp[:8] != found["day"] or not signature.isascii():
        raise _incomplete()
    return SignedRequest(
        method, path, query, lowered, found["key"], token, found["service"], body_hash,
        found["region"], timestamp, signed, signature,
    )  # fmt: skip


def _presigned(query: str) -> tuple[str, dict[str, str]]:
    """Returns the query without its signature, and the parameters that make a query a signed one, without `X-Amz-`."""
    pairs = query.split("&")
    given: dict[str, str] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if name.lower().startswith("x-amz-"):
            if name[6:].lower() in given:
                raise _incomplete()
            given[name[6:].lower()] = unquote(value)
    if "signature" not in given:
        return query, {}
    return "&".join(pair for pair in pairs if not pair.lower().startswith("x-amz-signature=")), given


def _body_hash(value: str | None, service: str) -> str | None:
    if value is None or _HASH.fullmatch(value):
        return value
    if value in _UNSIGNED_BODIES and service == "s3":
        return ""
    raise RefusedError("NotImplemented", "The embedded AWS does not know this x-amz-content-sha256.", 501)


def _check_time(timestamp: str, max_age: dt.timedelta) -> None:
    try:
        signed_at = dt.datetime.strptime(timestamp, SIGV4_TIMESTAMP).replace(tzinfo=dt.timezone.utc)
    except ValueError:
        raise _incomplete() from None
    age = dt.datetime.now(dt.timezone.utc) - signed_at
    if not -CLOCK_SKEW <= age <= max_age:
        raise RefusedError("RequestTimeTooSkewed", "The request was signed too long ago, or by a clock that is ahead.")


def _incomplete() -> RefusedError:
    return RefusedError("IncompleteSignature", "The request's signature is not complete, or not of Version 4.")
