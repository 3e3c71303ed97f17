"""One workload in a process of its own, in the environment of either plugin; nothing here knows which.

Reads the workload as JSON from the standard input and writes as JSON what it took. What is measured begins when
Covalent, the plugin and the arguments are there, and ends when the last result is.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

LOOK = 0.005
"""Seconds between two looks at how late the event loop is."""


def memory(field: str) -> int:
    """Bytes of a field of this process's status: `VmRSS` now, `VmHWM` at the most."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise LookupError(field)


def written() -> int:
    """Bytes that this process has written to files."""
    for line in Path("/proc/self/io").read_text(encoding="ascii").splitlines():
        if line.startswith("write_bytes"):
            return int(line.split()[1])
    raise LookupError("write_bytes")


def cpu() -> float:
    """Seconds of processor time of this process, all of its threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def task(value: Any) -> Any:
    """What the tasks would run."""
    return value


def argument(size: int, node: int) -> Any:
    """An argument as Covalent hands it over: serialised beforehand, here with as much base64 as `size` bytes take."""
    from covalent._workflow.transport import TransportableObject

    serialized = TransportableObject(node)
    if size:
        block = os.urandom(3 * 1024 * 1024).hex().encode()[: 4 * 1024 * 1024]
        length = -(-size // 3) * 4
        serialized._object = (block * (length // len(block) + 1))[:length].decode()
    return serialized


async def answer(executor: Any) -> None:
    """Answers an executor's questions as the dispatcher does: not cancelled, and noted."""
    while True:
        action, _ = await executor._send_queue.get()
        executor._recv_queue.put_nowait((True, False if action.name == "GET" else None))


async def watch_loop(late: list[float]) -> None:
    """Keeps the longest time that the loop let a callback wait."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LOOK
        await asyncio.sleep(LOOK)
        late[0] = max(late[0], loop.time() - due)


async def run(executor_class: Any, asked: dict[str, Any], call: Any, arguments: list[Any]) -> dict[str, Any]:
    """Runs the tasks at once.

    Args:
        executor_class: The plugin's.
        asked: The workload.
        call: The function as Covalent hands it over.
        arguments: One for each task.
    """
    late = [0.0]
    watching = [asyncio.ensure_future(watch_loop(late))] if asked["watch_loop"] else []
    ends: list[float] = []
    results: list[Any] = []

    async def one(node: int) -> None:
        executor = executor_class(**asked["options"])
        executor._init_runtime(asyncio.get_running_loop(), None)
        answering = asyncio.ensure_future(answer(executor))
        try:
            found = await executor.run(call, [arguments[node]], {}, {"dispatch_id": asked["dispatch"], "node_id": node})
        finally:
            answering.cancel()
        ends.append(time.monotonic())
        results.append(len(found._object) if asked["bulk"] else found)

    start = time.monotonic()
    running = []
    for node in range(asked["tasks"]):
        running.append(asyncio.ensure_future(one(node)))
        await asyncio.sleep(0)  # the dispatcher, too, starts each from a callback of its own
    await asyncio.gather(*running)
    for task_ in watching:
        task_.cancel()
    return {"start": start, "wall": time.monotonic() - start, "late": late[0], "ends": ends, "results": results}


def main() -> None:
    """Runs the workload that stands on the standard input."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what tasks and libraries print is no answer
    asked = json.load(sys.stdin)
    from covalent._workflow.transport import TransportableObject
    from covalent.executor.utils.wrappers import wrapper_fn

    from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor

    call = functools.partial(wrapper_fn, TransportableObject(task), [], [])
    if asked["argument"]:
        arguments = [argument(asked["argument"], 0)] * asked["tasks"]
    else:
        arguments = [argument(0, node) for node in range(asked["tasks"])]
    # A collection that walks all that Covalent has imported takes 60 ms of the event loop's, whoever sets it off.
    gc.collect()
    gc.freeze()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    before = {"memory": memory("VmRSS"), "cpu": cpu(), "written": written()}
    found = asyncio.run(run(AWSBatchExecutor, asked, call, arguments))
    found |= {
        "cpu": cpu() - before["cpu"],
        "memory_before": before["memory"],
        "memory_peak": memory("VmHWM"),
        "written": written() - before["written"],
    }
    if not asked["bulk"]:
        found["results"] = sorted(str(result.get_deserialized()) for result in found["results"])
    print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":
    main()
