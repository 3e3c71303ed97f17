"""The proxy that makes the network bad: each switch does what it says, and no longer than it is on."""

from __future__ import annotations

import contextlib
import http.client
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYetError

import pytest
from support.proxy import Proxy
from support.servers import Answer, HttpServer

BODY = b"x" * 2000


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with HttpServer(lambda _: Answer(BODY)) as server, Proxy(server.port) as proxy:
        yield proxy


def connect(proxy: Proxy) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=30)


def ask_again(connection: http.client.HTTPConnection) -> bytes:
    connection.request("GET", "/")
    return connection.getresponse().read()


def ask(proxy: Proxy) -> bytes:
    with contextlib.closing(connect(proxy)) as connection:
        return ask_again(connection)


def seconds_to_ask(proxy: Proxy) -> float:
    start = time.monotonic()
    assert ask(proxy) == BODY
    return time.monotonic() - start


def test_what_is_stalled_arrives_afterwards(proxy: Proxy) -> None:
    with ThreadPoolExecutor() as pool:
        with proxy.stalled():
            asking = pool.submit(ask, proxy)
            with pytest.raises(NotYetError):
                asking.result(0.5)
        assert asking.result(30) == BODY


def test_connections_are_reset_old_and_new(proxy: Proxy) -> None:
    connection = connect(proxy)
    assert ask_again(connection) == BODY
    with proxy.resetting():
        with pytest.raises(ConnectionError):
            ask(proxy)
        with pytest.raises(ConnectionError):
            ask_again(connection)
    assert ask(proxy) == BODY


def test_what_arrives_late_or_slowly_takes_at_least_its_time(proxy: Proxy) -> None:
    with proxy.latency(0.3):
        assert seconds_to_ask(proxy) >= 0.6  # there and back
    with proxy.bandwidth(4000):
        assert seconds_to_ask(proxy) >= 0.5
