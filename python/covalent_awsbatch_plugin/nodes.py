"""What a function finds of the job's nodes, where the executor's option `nodes` has it run on several machines.

Outside of such a job there is one node, so that the function runs there, too. Each node has a process for which
PyTorch's variables are set as well: `MASTER_ADDR`, `MASTER_PORT`, `NODE_RANK`, `NNODES`, `RANK`, `WORLD_SIZE` and
`LOCAL_RANK`.
"""

from __future__ import annotations

import os
import socket
import time

_JOB, _INDEX, _COUNT = "AWS_BATCH_JOB_ID", "AWS_BATCH_JOB_NODE_INDEX", "AWS_BATCH_JOB_NUM_NODES"
_ADDRESS, _PORT = "MASTER_ADDR", "MASTER_PORT"
_HERE, _FIRST_PORT = "127.0.0.1", 29500
_PAUSE_SECONDS = 0.1
_LONGEST_LINE = 256
_INTRODUCTION_SECONDS = 10.0  # that one connection may keep the nodes waiting

# The connections of this process: of node 0 to all the others, of another one to node 0.
_others: list[socket.socket] = []


def index() -> int:
    """The number of this node, from 0. What node 0 returns is the electron's result."""
    return int(os.environ.get(_INDEX) or 0)


def count() -> int:
    """How many nodes there are."""
    return int(os.environ.get(_COUNT) or 1)


def main_address() -> str:
    """The IPv4 address of node 0, by which the others reach it."""
    return os.environ.get(_ADDRESS) or _HERE


def barrier(timeout: float | None = None) -> None:
    """Wait until every node is here. All of them have to call it, and equally often.

    The nodes meet at node 0, at the port after `MASTER_PORT`.

    Args:
        timeout: Seconds to wait for the others; None for as long as the job may run. A node that dies ends the job.

    Raises:
        TimeoutError: Not all of them came.
        ConnectionError: One of them has gone.
    """
    if count() < 2:
        return
    deadline = None if timeout is None else time.monotonic() + timeout
    try:
        if index():
            _tell(deadline)
        else:
            _gather(deadline)
    except TimeoutError:
        raise TimeoutError(
            f"node {index()}: not all of the {count()} nodes came to the barrier at {main_address()}:{_port()}. On AWS "
            "the security group of their compute environment has to let them talk to each other."
        ) from None
    except ConnectionError:
        raise ConnectionError(f"node {index()}: another node has gone") from None


def _gather(deadline: float | None) -> None:
    if not _others:
        with socket.create_server((main_address(), _port()), backlog=count()) as listener:
            found: dict[int, socket.socket] = {}
            while len(found) < count() - 1:
                listener.settimeout(_left(deadline))
                connection, _ = listener.accept()
                node = _introduced(connection)
                if node is None:
                    connection.close()
                else:
                    found[node] = connection
            _others.extend(found.values())
    for other in _others:
        _receive(other, deadline)
    for other in _others:
        other.sendall(b".")


def _tell(deadline: float | None) -> None:
    if not _others:
        _others.append(_connected(deadline))
    [main] = _others
    main.sendall(b".")
    _receive(main, deadline)


def _connected(deadline: float | None) -> socket.socket:
    """A connection to node 0, as soon as it is at the barrier, too."""
    while (connection := _connection(deadline)) is None:
        time.sleep(_PAUSE_SECONDS)
    connection.sendall(f"{_name()} {index()}\n".encode())
    return connection


def _connection(deadline: float | None) -> socket.socket | None:
    try:
        return socket.create_connection((main_address(), _port()), _left(deadline))
    except ConnectionError:  # it is not there yet
        return None


def _introduced(connection: socket.socket) -> int | None:
    """The number of the node that has connected; None if it is none of this job."""
    deadline = time.monotonic() + _INTRODUCTION_SECONDS
    said = b""
    try:
        while not said.endswith(b"\n") and len(said) < _LONGEST_LINE:
            connection.settimeout(_left(deadline))
            if not (piece := connection.recv(1)):
                break
            said += piece
        name, _, number = said.decode().strip().partition(" ")
        return int(number) if name == _name() and 0 < int(number) < count() else None
    except (OSError, ValueError):
        return None


def _receive(connection: socket.socket, deadline: float | None) -> None:
    connection.settimeout(_left(deadline))
    if not connection.recv(1):
        raise ConnectionError


def _left(deadline: float | None) -> float | None:
    left = None if deadline is None else deadline - time.monotonic()
    if left is not None and left <= 0:
        raise TimeoutError
    return left


def _port() -> int:
    return int(os.environ.get(_PORT) or _FIRST_PORT) + 1


def _name() -> str:
    """What all nodes of the job, and nobody else, call it."""
    return os.environ.get(_JOB, "").partition("#")[0]
