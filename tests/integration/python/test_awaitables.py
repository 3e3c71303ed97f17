"""The core's awaitables: in several loops and threads, in processes that fork and in ones that end."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from lab import Lab, faults
from support.processes import python

from covalent_awsbatch_plugin._core import Client

ACCOUNT = "123456789012"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


@pytest.fixture
def client(lab: Lab) -> Client:
    endpoint, credentials = place(lab)
    return Client(json.dumps({"endpoint_url": endpoint, "credentials": credentials, "region": "us-east-1"}))


def place(lab: Lab) -> tuple[str, str]:
    """Endpoint and credentials."""
    return lab.options["endpoint_url"], lab.options["credentials"]


async def look(client: Client, calls: int) -> list[Any]:
    """Asks as often for a job that nobody knows."""
    return await asyncio.gather(*(client.describe(str(number)) for number in range(calls)))


def test_loops_in_several_threads_get_what_is_theirs(client: Client) -> None:
    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(lambda calls: asyncio.run(look(client, calls)), (10, 20, 30, 40)):
            assert set(found) == {None}


def test_a_loop_that_is_closed_takes_nothing_from_others(lab: Lab, client: Client) -> None:
    lab.faults(faults.latency(0.5, operation="GetCallerIdentity"))
    closed = asyncio.new_event_loop()

    async def begin() -> asyncio.Future[Any]:
        return asyncio.ensure_future(client.identity())

    nobody_waits = closed.run_until_complete(begin())
    closed.close()
    assert asyncio.run(look(client, 20)) == [None] * 20
    assert not nobody_waits.done()


def test_there_is_no_awaitable_without_a_loop(client: Client) -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        client.identity()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells how many threads there are")
def test_outcomes_do_not_take_a_thread_each(lab: Lab) -> None:
    program = """
        import asyncio, json, os, sys
        from covalent_awsbatch_plugin._core import Client

        client = Client(json.dumps({"endpoint_url": sys.argv[1], "credentials": sys.argv[2], "region": "us-east-1"}))

        async def look():
            await asyncio.gather(*(client.describe(str(number)) for number in range(200)))

        asyncio.run(look())
        print(len(os.listdir("/proc/self/task")) - os.cpu_count())
    """
    assert int(python(program, *place(lab)).stdout) < 10


def test_a_forked_process_has_clients_of_its_own(lab: Lab) -> None:
    program = """
        import asyncio, os, sys
        from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
        from covalent_awsbatch_plugin.task.connection import client

        endpoint, credentials, bucket = sys.argv[1:]
        settings = AWSBatchExecutor(endpoint_url=endpoint, credentials=credentials)._settings()

        async def account(client):
            return (await client.identity())["Account"]

        parents = client(settings)
        print(asyncio.run(account(parents)), flush=True)
        writer = parents.writer(bucket, "key")
        writer.write(bytes(17 * 1024 * 1024))
        child = os.fork()
        if child == 0:
            read = lambda: parents.reader(bucket, "key")
            for attempt in (parents.identity, read, lambda: writer.write(b"the child's"), writer.close, writer.abort):
                try:
                    attempt()
                except RuntimeError as error:
                    assert "fork" in str(error), error
                else:
                    sys.exit("what is the parent's was used")
            del writer
            own = client(settings)
            assert own is not parents and own is client(settings)
            print(asyncio.run(account(own)), flush=True)
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert client(settings) is parents
        print(asyncio.run(account(parents)))
        writer.close()
    """
    done = python(program, *place(lab), lab.options["s3_bucket_name"])
    assert done.stdout.split() == [ACCOUNT] * 3
    assert lab.uploads() == []


def test_a_forked_process_does_not_stand_in_its_parents_queue(lab: Lab) -> None:
    program = """
        import asyncio, json, os, sys
        from concurrent.futures import ThreadPoolExecutor
        from covalent_awsbatch_plugin._core import Client

        async def look(calls):
            place = {"endpoint_url": sys.argv[1], "credentials": sys.argv[2], "region": "us-east-1"}
            client = Client(json.dumps(place))
            await client.identity()
            running = [asyncio.ensure_future(client.describe(str(number))) for number in range(calls)]
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            return running

        async def queue_up_and_fork():
            running = await look(300)
            assert not all(call.done() for call in running)
            child = os.fork()
            if child == 0:
                with ThreadPoolExecutor(1) as threads:
                    threads.submit(asyncio.run, look(1)).result()
                os._exit(0)
            return os.waitpid(child, 0)[1]

        assert asyncio.run(queue_up_and_fork()) == 0
    """
    python(program, *place(lab))


def test_a_process_ends_well_while_calls_are_under_way(lab: Lab) -> None:
    """Threads that hand results over to an interpreter that goes away would take the process down with a signal."""
    program = """
        import asyncio, json, sys
        from covalent_awsbatch_plugin._core import Client

        client = Client(json.dumps({"endpoint_url": sys.argv[1], "credentials": sys.argv[2], "region": "us-east-1"}))

        async def leave_early():
            await client.identity()
            calls = [asyncio.ensure_future(client.describe(str(number))) for number in range(100)]
            await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)

        asyncio.run(leave_early())
    """
    with ThreadPoolExecutor(2) as threads:
        for _ in threads.map(lambda _: python(program, *place(lab)), range(8)):
            pass
