"""Hundreds of tasks at once under transient faults: each gets its own result, by one job, and nothing is left over.

`SOAK_TASKS` in `SOAK_ROUNDS` equal rounds, with the decisions of `SOAK_SEED`; `make soak` runs more of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from dataclasses import astuple, dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
from lab import Lab, duplicates, faults

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.errors import AWSBatchError
from covalent_awsbatch_plugin.task import connection

TASKS = int(os.environ.get("SOAK_TASKS", "500"))
ROUNDS = int(os.environ.get("SOAK_ROUNDS", "2"))
SEED = int(os.environ.get("SOAK_SEED", "1"))

MIB = 1024 * 1024
A_ROUND = TASKS // ROUNDS
FEW = 10
PATIENCE = 30.0  # seconds in which idle threads and connections end
LARGE = 5  # tasks of a round whose arguments go out in parts


def task(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Footprint:
    """What this process holds: threads, sockets, and other open files. Empty elsewhere than on Linux."""

    threads: int = 0
    sockets: int = 0
    files: int = 0

    @classmethod
    def now(cls) -> Footprint:
        if sys.platform != "linux":
            return cls()
        opened = []
        for file in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                opened.append(str(file.readlink()))
        sockets = sum(target.startswith("socket:") for target in opened)
        return cls(len(list(Path("/proc/self/task").iterdir())), sockets, len(opened) - sockets)

    def is_about(self, other: Footprint) -> bool:
        """Whether there is not more of anything, but for a few that are the process's own."""
        mine, others = astuple(self), astuple(other)
        return all(one <= another + FEW for one, another in zip(mine, others, strict=True))


def memory() -> int:
    """Megabytes that this process takes; 0 where that is not known."""
    if sys.platform != "linux":
        return 0
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // MIB


def let_go() -> None:
    """Have nobody hold the core's clients."""
    connection._clients.clear()
    connection._identities.clear()


async def a_round(lab: Lab, number: int, large: bytes) -> list[Any]:
    """What comes of a dispatch's tasks, all of them at once: their results, or errors."""

    async def one(node: int) -> Any:
        executor = AWSBatchExecutor(**lab.options, poll_freq=1)
        argument = large if node < LARGE else node
        try:
            result = await executor.run(task, [argument], {}, {"dispatch_id": f"soak{number}", "node_id": node})
        except AWSBatchError as error:
            return error
        return result.get_deserialized()

    return await asyncio.gather(*map(one, range(A_ROUND)))


@pytest.mark.timeout(300 + TASKS)
def test_nothing_is_lost_nothing_twice_and_nothing_left() -> None:
    large = Random(SEED).randbytes(17 * MIB)
    print(f"SOAK_TASKS={TASKS} SOAK_ROUNDS={ROUNDS} SOAK_SEED={SEED}")

    async def soak() -> list[int]:
        memories = []
        for number in range(ROUNDS):
            found = await a_round(lab, number, large)
            assert found == [f"covalent-batch-soak{number}-{node}" for node in range(A_ROUND)]
            assert len(asyncio.all_tasks()) == 1, "the one that asks"
            memories.append(memory())
            print(f"after round {number + 1}: {Footprint.now()}, {memories[-1]} MB")
        return memories

    let_go()
    with Lab(seed=SEED, faults=faults.transient(), discard="func-*") as lab:
        before = Footprint.now()
        memories = asyncio.run(soak())
        print(f"struck: {dict(lab.struck)}; calls: {dict(lab.counts)}")
        assert {"throttle", "error", "drop", "truncate"} <= set(lab.struck)
        assert len(lab.jobs()) == A_ROUND * ROUNDS
        assert duplicates(lab.jobs()) == {}
        assert {job.status for job in lab.jobs()} == {"SUCCEEDED"}
        assert lab.uploads() == []
        # As many connections and threads wait for use as were ever in use at once: that is no leak, if the connections
        # go with their clients, and the threads when nobody has used them for a while.
        let_go()
        deadline = time.monotonic() + PATIENCE
        while not Footprint.now().is_about(before) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert Footprint.now().is_about(before), f"{Footprint.now()} and before {before}"
    assert memories[-1] <= memories[0] + 100
