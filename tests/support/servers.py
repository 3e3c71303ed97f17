"""Small real servers for the tests: they record what they are asked."""

from __future__ import annotations

import contextlib
import http.client
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

_HOST = "127.0.0.1"
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


@dataclass(frozen=True)
class Request:
    """What a client asked for; the names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def access_key(self) -> str:
        """Access key id of the credentials that signed the request; empty if it is not signed."""
        found = re.search(r"Credential=([^/]+)/", self.headers.get("authorization", ""))
        return found[1] if found else ""

    @property
    def service(self) -> str:
        """Name of the service that the request was signed for, such as `s3`."""
        found = re.search(r"Credential=[^/]+/[^/]+/[^/]+/([^/]+)/", self.headers.get("authorization", ""))
        return found[1] if found else ""


@dataclass(frozen=True)
class Answer:
    """What the server says."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    """Bytes of the body after which the connection ends; None for all of them."""
    chunked: bool = False
    """Whether the body is sent in chunks, without its length."""


class HttpServer:
    """Listens on a free port of 127.0.0.1 in a `with` block, and serves CONNECT as well where it is a proxy.

    Args:
        answer: Called for each request, in a thread of the connection.
        tls: Makes it a HTTPS server.
        tunnel_to: Port of 127.0.0.1 to which CONNECT leads, whatever host is asked for.
    """

    def __init__(
        self, answer: Callable[[Request], Answer], tls: ssl.SSLContext | None = None, tunnel_to: int | None = None
    ) -> None:
        self.requests: list[Request] = []
        self.ahead = 0.0
        """Seconds that its clock is ahead, by which it dates its answers."""
        self.scheme = "http" if tls is None else "https"
        self._server = _Server((_HOST, 0), _Handler)
        self._server.owner, self._server.answer, self._server.tls, self._server.tunnel_to = self, answer, tls, tunnel_to
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{self.scheme}://{_HOST}:{self.port}"

    def __enter__(self) -> HttpServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: HttpServer
    answer: Callable[[Request], Answer]
    tls: ssl.SSLContext | None
    tunnel_to: int | None

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serves a connection; a client may break it off half way, for instance when it distrusts the certificate."""
        with contextlib.suppress(OSError):
            # Here and not on the listener, since the handshake may block and belongs into the connection's thread.
            connection = self.tls.wrap_socket(request, server_side=True) if self.tls else request
            super().finish_request(connection, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _request(self) -> Request:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body)
        self.server.owner.requests.append(request)
        return request

    def _serve(self) -> None:
        answer = self.server.answer(self._request())
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif self.command != "HEAD" or "Content-Length" not in answer.headers:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            body = answer.body[: answer.cut]
            self.wfile.write(_chunks(body, end=answer.cut is None) if answer.chunked else body)
        if answer.cut is not None:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve

    def do_CONNECT(self) -> None:
        self._request()
        if self.server.tunnel_to is None:
            self.send_error(405)
            return
        with socket.create_connection((_HOST, self.server.tunnel_to)) as upstream:
            self.send_response(200)
            self.end_headers()
            _pump(self.connection, upstream)
        self.close_connection = True

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string((timestamp or time.time()) + self.server.owner.ahead)

    def log_message(self, *_args: object) -> None:
        """Keeps requests out of the test's output."""


def _chunks(body: bytes, end: bool) -> bytes:
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    return chunk + (b"0\r\n\r\n" if end else b"")


def forward_to(url: str) -> Callable[[Request], Answer]:
    """An answer that another HTTP server gives, for a recording proxy in front of it."""
    target = urlsplit(url)

    def answer(request: Request) -> Answer:
        connection = http.client.HTTPConnection(str(target.hostname), target.port)
        try:
            connection.request(request.method, request.path, request.body, dict(request.headers))
            response = connection.getresponse()
            kept = {name: value for name, value in response.getheaders() if name.lower() not in _HOP_BY_HOP}
            if request.method == "HEAD" and response.headers["Content-Length"]:
                kept["Content-Length"] = response.headers["Content-Length"]
            return Answer(response.read(), response.status, kept)
        finally:
            connection.close()

    return answer


def _pump(one: socket.socket, other: socket.socket) -> None:
    """Carries bytes both ways until either side ends."""
    opposite = {one: other, other: one}
    while True:
        for ready in select.select(list(opposite), [], [])[0]:
            data = ready.recv(65536)
            if not data:
                return
            opposite[ready].sendall(data)
