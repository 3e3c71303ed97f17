"""A TCP proxy that makes the network bad: slow, late, stalled or gone, by switches that take effect at once."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

_PIECE = 16 * 1024
_PAUSE = 0.1  # seconds between two pieces where bandwidth is short


class Proxy:
    """Forwards connections of a free port of 127.0.0.1 to another port, in a `with` block.

    Args:
        target: Port of 127.0.0.1 to which everything goes.
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self._target = target
        self._bandwidth = self._latency = 0.0
        self._resets = False
        self._open = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Proxy:
        self._thread.start()
        self._server: asyncio.Server = self._run(self._listen())
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @contextmanager
    def bandwidth(self, bytes_per_second: float) -> Iterator[None]:
        """So much gets through, for each connection and direction."""
        self._bandwidth = bytes_per_second
        try:
            yield
        finally:
            self._bandwidth = 0.0

    @contextmanager
    def latency(self, seconds: float) -> Iterator[None]:
        """Each piece arrives later."""
        self._latency = seconds
        try:
            yield
        finally:
            self._latency = 0.0

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Nothing gets through, and nobody is told: what was sent arrives afterwards, as TCP has it."""
        self._loop.call_soon_threadsafe(self._open.clear)
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._open.set)

    @contextmanager
    def resetting(self) -> Iterator[None]:
        """All connections are reset, and so is each new one."""
        self._resets = True
        self._loop.call_soon_threadsafe(self._reset_all)
        try:
            yield
        finally:
            self._resets = False

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    async def _listen(self) -> asyncio.Server:
        self._open.set()
        return await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=1024)

    async def _close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _reset_all(self) -> None:
        for writer in self._writers:
            _reset(writer)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            if not self._resets:
                await self._forward(reader, writer)
        except (OSError, asyncio.CancelledError):  # either end has left, or the proxy ends
            pass
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            if self._resets:
                _reset(writer)
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        pumps = [asyncio.ensure_future(self._pump(*ends)) for ends in ((reader, far_writer), (far_reader, writer))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            far_writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(int(self._bandwidth * _PAUSE) or _PIECE):
            await asyncio.sleep(self._latency + (_PAUSE if self._bandwidth else 0.0))
            await self._open.wait()
            writer.write(data)
            await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection so that its client gets a reset, and not an orderly end."""
    with contextlib.suppress(OSError):  # it has ended already
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
