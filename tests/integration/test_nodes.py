"""What a function finds of the nodes: real processes that meet at a barrier."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from covalent_awsbatch_plugin import nodes

PROGRAM = """
from covalent_awsbatch_plugin import nodes
import sys
for times in range(int(sys.argv[1])):
    nodes.barrier(float(sys.argv[2]))
    print(nodes.index(), nodes.count(), times, flush=True)
"""


class Job:
    """Nodes as processes, which share an address and have a port of their own."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def start(self, index: int, count: int = 3, times: int = 2, timeout: float = 30) -> subprocess.Popen[str]:
        own = {"AWS_BATCH_JOB_NODE_INDEX": str(index), "AWS_BATCH_JOB_NUM_NODES": str(count)}
        own |= {"AWS_BATCH_JOB_ID": f"j#{index}", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(self.port - 1)}
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(times), str(timeout)],
            env={**os.environ, **own},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process


@pytest.fixture
def job() -> Iterator[Job]:
    with ExitStack() as stack:
        yield Job(stack)


def test_all_nodes_pass_a_barrier_again_and_again(job: Job) -> None:
    late = [job.start(index) for index in (2, 1)]
    said = [process.communicate(timeout=60) for process in [*late, job.start(0)]]
    assert [out.split("\n")[:2] for out, _ in said] == [[f"{n} 3 0", f"{n} 3 1"] for n in (2, 1, 0)]


def test_no_node_passes_before_all_are_there(job: Job) -> None:
    other, main = job.start(1), job.start(0, timeout=1)
    out, err = main.communicate(timeout=60)
    assert out == ""
    assert "TimeoutError: node 0: not all of the 3 nodes came to the barrier at 127.0.0.1:" in err
    other.kill()
    assert other.communicate(timeout=60)[0] == ""


def test_a_node_that_has_gone_is_told_of(job: Job) -> None:
    main, other, short = job.start(0), job.start(1), job.start(2, times=1)
    assert short.communicate(timeout=60)[0] == "2 3 0\n"
    out, err = main.communicate(timeout=60)
    assert out == "0 3 0\n"
    assert "ConnectionError: node 0: another node has gone" in err
    assert "ConnectionError: node 1: another node has gone" in other.communicate(timeout=60)[1]


def stranger_of(main: subprocess.Popen[str], port: int) -> socket.socket:
    """A connection to a main node that listens, of somebody who is no node."""
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionError:
            assert main.poll() is None


def test_a_stranger_at_the_port_is_no_node(job: Job) -> None:
    main = job.start(0, count=2)
    with stranger_of(main, job.port) as stranger:
        stranger.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with suppress(ConnectionResetError):
            assert stranger.recv(1) == b""
    assert job.start(1, count=2).communicate(timeout=60)[0] == "1 2 0\n1 2 1\n"
    assert main.communicate(timeout=60)[0] == "0 2 0\n0 2 1\n"


def test_a_stranger_who_speaks_slowly_does_not_hold_up_the_nodes(job: Job) -> None:
    main = job.start(0, count=2)
    with stranger_of(main, job.port) as stranger:
        node = job.start(1, count=2)
        with suppress(ConnectionError):
            for _ in range(20):
                stranger.sendall(b"x")
                time.sleep(3)
                if node.poll() is not None:
                    break
        assert node.poll() == 0
    assert main.communicate(timeout=60)[0] == "0 2 0\n0 2 1\n"


def test_outside_of_such_a_job_there_is_one_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_BATCH_JOB_NUM_NODES", raising=False)
    assert (nodes.index(), nodes.count(), nodes.main_address()) == (0, 1, "127.0.0.1")
    nodes.barrier()
