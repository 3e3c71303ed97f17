"""How the function's process hands over its answer: by a connection that it makes when it has one.

Nothing of it is open while the function runs, so a function that closes all descriptors, opens all that it may have, or
forks, does not get at it. The answer is a line of JSON, and then the serialised result.
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

_PIECE = 1024 * 1024
_socket = socket.socket  # a function may put another class into the module, as gevent does


class Listener:
    """The supervisor's end."""

    def __init__(self) -> None:
        self._socket = _socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._directory: Path | None = None
        if sys.platform == "linux":
            self._socket.bind("")  # to a name of its own in the abstract namespace: the file system may be read-only
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
            worker: Process whose answer counts: not that of a copy of it, and not that of a stranger.
            ended: Descriptor that becomes readable when that process has ended.

        Returns:
            What the line says, and the result; None if the process has ended without an answer.
        """
        while True:
            ready, _, _ = select.select([self._socket.fileno(), ended], [], [])
            if self._socket.fileno() not in ready:
                return None
            connection, _ = self._socket.accept()
            if _peer(connection) not in (worker, None):
                connection.close()
                continue
            file = connection.makefile("rb", _PIECE)
            connection.close()  # the file goes on
            with contextlib.suppress(ValueError, KeyError, OSError):  # it was killed in the midst of it
                header = json.loads(file.readline())
                return header, Body(file, header.pop("size"))
            file.close()

    def remove(self) -> None:
        """Remove what is left of it in the file system, if it was there."""
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
        """Bring it piece by piece.

        Raises:
            EOFError: The process ended before it was handed over.
        """
        left = self.size
        with self._file:
            while left:
                piece = self._file.read(min(left, _PIECE))
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
        OSError: The supervisor is gone, or does not want it any more.
    """
    with _new() as connection:
        connection.settimeout(None)  # whatever default the function has set
        connection.connect(address)
        connection.sendall(json.dumps({**header, "size": len(body)}).encode() + b"\n")
        connection.sendall(body)


def _new() -> socket.socket:
    try:
        return _socket(socket.AF_UNIX, socket.SOCK_STREAM)
    except OSError:
        os.close(0)  # the function has left no descriptor; nobody reads from standard input any more
        return _socket(socket.AF_UNIX, socket.SOCK_STREAM)


def _peer(connection: socket.socket) -> int | None:
    """The process at the other end, as the kernel knows it; None where it does not tell."""
    if sys.platform != "linux":
        return None
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[0])
