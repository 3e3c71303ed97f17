"""Access control of the embedded AWS: requests need a signature, and browsers are refused.

It runs commands, and everybody on this machine can connect to it: other users, and browsers on behalf of any page. So a
request that a page may have caused is refused by its headers, and one without a signature of this run's keys as well.
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
"""Key of the environment with the original headers: WSGI folds and renames its own."""

_IN_MEMORY_BYTES = 1024 * 1024
_CHUNK_BYTES = 64 * 1024


class AccessControl:
    """WSGI middleware that passes only signed requests on.

    Args:
        application: The wrapped application.
        port: The server's port.
        keys: The accepted keys.
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
            # Moto's CORS headers would allow every page to read its answers.
            kept = [header for header in headers if not header[0].lower().startswith("access-control-")]
            return start_response(status, kept, *error)

        answer = self._application(environ, start)
        return answer if body is None else ClosingIterator(answer, body.close)

    def _check_origin(self, environ: dict[str, Any]) -> None:
        """Refuses requests of a page: with an `Origin`, or for another host name (DNS rebinding)."""
        names = [name.lower() for name, _ in environ[HEADERS]]
        if "origin" in names:
            raise RefusedError("AccessDenied", "The embedded AWS answers no page in a browser.")
        # A target that is not a path would override the host.
        if names.count("host") != 1 or not environ["RAW_URI"].startswith("/"):
            raise RefusedError("AccessDenied", "The request does not say once which host it is for.")
        if environ["HTTP_HOST"].lower() not in self._hosts:
            raise RefusedError("AccessDenied", "The embedded AWS goes by 127.0.0.1 and localhost, with its port.")

    def _check_signature(self, request: SignedRequest, environ: dict[str, Any]) -> IO[bytes] | None:
        """Refuses a request without a valid signature; returns the body if it had to be read for that.

        The body of a request with an unknown key is not read.
        """
        credentials = self._keys.find(request.access_key, request.token)
        if credentials is None:
            code = "InvalidAccessKeyId" if request.service == "s3" else "InvalidClientTokenId"
            raise RefusedError(code, "This run of the embedded AWS has not issued this access key.")
        if request.body_hash is not None:
            request.check(credentials, request.body_hash)
            if not request.body_hash:
                return None
        # Spooled to disk above a size, since it may be larger than memory.
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
    """Copies a request's body to a file and rewinds it; returns the SHA-256 of the body in hex."""
    digest = hashlib.sha256()
    stream = get_input_stream(environ)
    while piece := stream.read(_CHUNK_BYTES):
        digest.update(piece)
        body.write(piece)
    body.seek(0)
    return digest.hexdigest()
