"""Who may ask the embedded AWS: whoever has a key of it, and no page in a browser.

It runs commands, and anybody on this machine can connect to it: other users, and browsers on behalf of any page. So
what a page may have caused is refused for its headers, and whatever no key of this run has signed for its signature.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import IO, Any

from werkzeug.exceptions import HTTPException
from werkzeug.wsgi import ClosingIterator, get_input_stream

from .keys import Keys
from .refusal import RefusedError
from .signature import SignedRequest, parse

HEADERS = "covalent_awsbatch.headers"
"""Where the server leaves the headers as they came: WSGI's own are folded and renamed."""

_IN_MEMORY_BYTES = 1024 * 1024
_CHUNK_BYTES = 64 * 1024


class AccessControl:
    """A WSGI application in front of another one, which lets through what is signed.

    Args:
        application: The other one.
        port: The port that this one is reached by.
        keys: Whose signatures count.
    """

    def __init__(self, application: Callable[..., Iterable[bytes]], port: int, keys: Keys) -> None:
        self._application = application
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        self._keys = keys

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answers one request."""
        service = ""
        try:
            self._check_origin(environ)
            request = parse(environ["REQUEST_METHOD"], environ["RAW_URI"], environ[HEADERS])
            service = request.service
            body = self._check_signature(request, environ)
        except RefusedError as refused:
            return refused.response(service, environ.get("CONTENT_TYPE", ""))(environ, start_response)
        except (HTTPException, OSError):
            broken = RefusedError("IncompleteBody", "The request's body did not come as it was announced.", 400)
            return broken.response(service, environ.get("CONTENT_TYPE", ""))(environ, start_response)

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            # Moto allows every page to read its answers.
            kept = [header for header in headers if not header[0].lower().startswith("access-control-")]
            return start_response(status, kept, *error)

        answer = self._application(environ, start)
        return answer if body is None else ClosingIterator(answer, body.close)

    def _check_origin(self, environ: dict[str, Any]) -> None:
        """Refuses what a page may have caused: one that names its origin, or one that reached us by another name."""
        names = [name.lower() for name, _ in environ[HEADERS]]
        if "origin" in names:
            raise RefusedError("AccessDenied", "The embedded AWS answers no page in a browser.")
        # Another target than a path would be taken for the host.
        if names.count("host") != 1 or not environ["RAW_URI"].startswith("/"):
            raise RefusedError("AccessDenied", "The request does not say once which host it is for.")
        if environ["HTTP_HOST"].lower() not in self._hosts:
            raise RefusedError("AccessDenied", "The embedded AWS goes by 127.0.0.1 and localhost, with its port.")

    def _check_signature(self, request: SignedRequest, environ: dict[str, Any]) -> IO[bytes] | None:
        """Refuses what no key of ours has signed; returns the body if it had to be read for that.

        Nothing is read of the body of a request whose key nobody knows.
        """
        credentials = self._keys.find(request.access_key, request.token)
        if credentials is None:
            code = "InvalidAccessKeyId" if request.service == "s3" else "InvalidClientTokenId"
            raise RefusedError(code, "This run of the embedded AWS has not issued this access key.")
        if request.body_hash is not None:
            request.check(credentials, request.body_hash)
            if not request.body_hash:
                return None
        # In memory up to a size, for it may be larger than memory.
        body = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115  (closed with the answer)
        with ExitStack() as refused:
            refused.callback(body.close)
            digest = _copy(environ, body)
            if request.body_hash is None:
                request.check(credentials, digest)
            elif request.body_hash != digest:
                raise RefusedError("XAmzContentSHA256Mismatch", "The body is not the one that was signed.", 400)
            refused.pop_all()
        environ["wsgi.input"] = body
        return body


def _copy(environ: dict[str, Any], body: IO[bytes]) -> str:
    """Copies a request's body to a file, which then stands at its start; returns its SHA-256 in hex."""
    digest = hashlib.sha256()
    stream = get_input_stream(environ)
    while piece := stream.read(_CHUNK_BYTES):
        digest.update(piece)
        body.write(piece)
    body.seek(0)
    return digest.hexdigest()
