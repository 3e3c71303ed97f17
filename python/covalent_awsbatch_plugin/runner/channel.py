"""The channel from the worker to the supervisor: a socket that the worker connects when it has its answer.

No descriptor of it is open while the function runs, so a function that closes all descriptors, exhausts them or forks
cannot break it. The answer is a line of JSON, followed by the serialised result.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import socket
import struct
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK_BYTES = 1024 * 1024
_socket = socket.socket  # a function may put another class into the module, as gevent does


class Listener:
    """The supervisor's end."""

    def __init__(self) -> None:
        self._socket = _socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._directory: Path | None = None
        if sys.platform == "linux":
            self._socket.bind("")  # a name in the abstract namespace, because the file system may be read-only
        else:
            self._directory = Path(tempfile.mkdtemp(prefix="covalent-"))  # its owner's alone
            self._socket.bind(str(self._directory / "answer"))
        self._socket.listen()
        self.address: str | bytes = self._socket.getsockname()

    def close(self) -> None:
        """Close this process's descriptor of it."""
        self._socket.close()

    def answer(self, worker: int, ended: int) -> tuple[dict[str, Any], Body] | None:
        """Wait for the answer.

        Args:
            worker: Process whose answer counts. A forked copy of it, or another process, is ignored.
            ended: Descriptor that becomes readable when that process has ended.

        Returns:
            What the line says, and the result; None if the process has ended without an answer.
        """
        while True:
            ready, _, _ = select.select([self._socket.fileno(), ended], [], [])
            if self._socket.fileno() not in ready:
                return None
            connection, _ = self._socket.accept()
            if _peer_pid(connection) not in (worker, None):
                connection.close()
                continue
            file = connection.makefile("rb", _CHUNK_BYTES)
            connection.close()  # the file keeps the socket open
            with contextlib.suppress(ValueError, KeyError, OSError):  # killed while it was sending
                header = json.loads(file.readline())
                return header, Body(file, header.pop("size"))
            file.close()

    def remove(self) -> None:
        """Remove the socket's directory, where there is one."""
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)


class Body:
    """The serialised result, to be read once.

    Args:
        file: Where it comes from.
        size: How many bytes it has.
    """

    def __init__(self, file: Any, size: int) -> None:
        self.size = size
        self._file = file

    def pieces(self) -> Iterator[bytes]:
        """Yield it in pieces.

        Raises:
            EOFError: The process ended before it was handed over.
        """
        left = self.size
        with self._file:
            while left:
                piece = self._file.read(min(left, _CHUNK_BYTES))
                if not piece:
                    raise EOFError("the function's process ended while it handed over its result")
                left -= len(piece)
                yield piece


def send(address: str | bytes, header: dict[str, Any], body: bytes) -> None:
    """Hand over an answer.

    Args:
        address: The listener's.
        header: Plain values.
        body: The serialised result.

    Raises:
        OSError: The supervisor has ended, or has closed the connection.
    """
    with _new_socket() as connection:
        connection.settimeout(None)  # whatever default the function has set
        connection.connect(address)
        connection.sendall(json.dumps({**header, "size": len(body)}).encode() + b"\n")
        connection.sendall(body)


def _new_socket() -> socket.socket:
    try:
        return _socket(socket.AF_UNIX, socket.SOCK_STREAM)
    except OSError:
        os.close(0)  # the function has exhausted the descriptors; standard input is no longer needed
        return _socket(socket.AF_UNIX, socket.SOCK_STREAM)


def _peer_pid(connection: socket.socket) -> int | None:
    """Id of the process at the other end, by the kernel; None where the system does not support it."""
    if sys.platform != "linux":
        return None
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[0])
