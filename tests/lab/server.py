"""A small HTTP/1.1 server on 127.0.0.1 that can deliver an answer badly."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import cast

import httptools

from .messages import Reply, Request

_ONE_WRITE = 64 * 1024
_REASONS = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True)
class Delivery:
    """How an answer gets to the client.

    Attributes:
        delay: Seconds before it.
        drop: The connection is reset in place of the answer.
        hang: There is no answer, while the connection stays open.
        keep: Bytes of the body that arrive before the connection ends; None for all.
        piece: Bytes of the body that go out at once; 0 for all.
        pause: Seconds between two such pieces.
    """

    delay: float = 0.0
    drop: bool = False
    hang: bool = False
    keep: int | None = None
    piece: int = 0
    pause: float = 0.0


SMOOTH = Delivery()

Answer = Callable[[Request], tuple[Reply, Delivery]]


class Connection(asyncio.Protocol):
    """One connection of a client; requests on it come one after the other.

    Args:
        answer: Called with each request. It must not block.
        tasks: Keeps answers that take time from being collected.
    """

    def __init__(self, answer: Answer, tasks: set[asyncio.Task[None]]) -> None:
        self._answer = answer
        self._tasks = tasks
        self._parser = httptools.HttpRequestParser(self)
        self._begin()

    def _begin(self) -> None:
        self._target = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._reset()

    def on_url(self, url: bytes) -> None:
        """Called by the parser, as are the following ones."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if "expect" in self._headers:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        self._body.append(data)

    def on_message_complete(self) -> None:
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        method = self._parser.get_method().decode()
        request = Request(method, self._target.decode(), self._headers, body)
        self._begin()
        reply, delivery = self._answer(request)
        if delivery is SMOOTH:
            self._send(reply)
        else:
            task = asyncio.get_running_loop().create_task(self._deliver(reply, delivery))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _deliver(self, reply: Reply, delivery: Delivery) -> None:
        if delivery.delay:
            await asyncio.sleep(delivery.delay)
        if delivery.hang:
            return
        if delivery.drop:
            self._reset()
            return
        if delivery.piece:
            self._transport.write(_head(reply))
            await self._drip(reply, delivery)
        elif delivery.keep is not None:
            self._transport.write(_head(reply) + b"".join(reply.body)[: delivery.keep])
        else:
            self._send(reply)
        if delivery.keep is not None:
            self._transport.close()

    def _reset(self) -> None:
        """Ends the connection so that the client gets a reset, and not an orderly end."""
        with contextlib.suppress(OSError):  # the client may have left
            connection = self._transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    async def _drip(self, reply: Reply, delivery: Delivery) -> None:
        body = memoryview(b"".join(reply.body))[: delivery.keep]
        for start in range(0, len(body), delivery.piece):
            if self._transport.is_closing():
                return
            self._transport.write(body[start : start + delivery.piece])
            await asyncio.sleep(delivery.pause)

    def _send(self, reply: Reply) -> None:
        pieces = reply.body if reply.length is None else ()
        if reply.size <= _ONE_WRITE:
            self._transport.write(b"".join([_head(reply), *pieces]))
        else:
            self._transport.write(_head(reply))
            for piece in pieces:
                self._transport.write(piece)


def _head(reply: Reply) -> bytes:
    # A service says what it takes a client's clock for by this header, so a reply may come with a date of its own.
    headers = {"date": _date(int(time.time())), "server": "lab", "content-length": str(reply.size), **reply.headers}
    if reply.status == 204:
        del headers["content-length"]
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, '')}\r\n{lines}\r\n".encode("latin-1")


_dates: dict[int, str] = {}


def _date(now: int) -> str:
    """The date as HTTP writes it, made once a second."""
    if now not in _dates:
        _dates.clear()
        _dates[now] = formatdate(now, usegmt=True)
    return _dates[now]


async def listen(answer: Answer) -> asyncio.Server:
    """Listens on a free port of 127.0.0.1."""
    tasks: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: Connection(answer, tasks), "127.0.0.1", 0, backlog=4096)
