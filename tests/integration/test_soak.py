"""Hundreds of tasks at once in bad weather: each gets its own result, by one job, and nothing is left over.

`SOAK_TASKS` in `SOAK_ROUNDS` equal rounds, with the decisions of `SOAK_SEED`; `make soak` runs more of them.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
from lab import Lab, duplicates, faults

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.errors import AWSBatchError

TASKS = int(os.environ.get("SOAK_TASKS", "500"))
ROUNDS = int(os.environ.get("SOAK_ROUNDS", "2"))
SEED = int(os.environ.get("SOAK_SEED", "1"))

MIB = 1024 * 1024
A_ROUND = TASKS // ROUNDS
LARGE = 5  # tasks of a round whose arguments go out in parts

# About one call in six goes wrong. What fails six times in a row is an outage and no weather: the rates are such that
# this happens once in some hundred thousand calls.
WEATHER = [
    faults.throttle("batch:*", rate=0.08),
    faults.throttle("s3:*", rate=0.03),
    faults.error(rate=0.03),
    faults.error(acts=True, rate=0.02),
    faults.drop(rate=0.02),
    faults.drop(acts=True, rate=0.02),
    faults.truncate("batch:*", rate=0.02),
    faults.truncate("s3:GetObject", rate=0.05),
]


def task(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Footprint:
    """What this process holds: asyncio's tasks, threads, open files, and megabytes of memory."""

    tasks: int
    threads: int
    files: int
    memory: int

    @classmethod
    def now(cls) -> Footprint:
        tasks = len(asyncio.all_tasks())
        if sys.platform != "linux":
            return cls(tasks, threading.active_count(), 0, 0)
        own = Path("/proc/self")
        pages = int((own / "statm").read_text().split()[1])
        return cls(
            tasks,
            threads=len(list((own / "task").iterdir())),
            files=len(list((own / "fd").iterdir())),
            memory=pages * os.sysconf("SC_PAGE_SIZE") // MIB,
        )


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

    async def soak() -> list[Footprint]:
        footprints = []
        for number in range(ROUNDS):
            found = await a_round(lab, number, large)
            assert found == [f"covalent-batch-soak{number}-{node}" for node in range(A_ROUND)]
            footprints.append(Footprint.now())
            print(f"after round {number + 1}: {footprints[-1]}")
        return footprints

    with Lab(seed=SEED, faults=WEATHER, discard="func-*") as lab:
        footprints = asyncio.run(soak())
        print(f"struck: {dict(lab.struck)}; calls: {dict(lab.counts)}")
        assert {"throttle", "error", "drop", "truncate"} <= set(lab.struck)
        assert len(lab.jobs()) == A_ROUND * ROUNDS
        assert duplicates(lab.jobs()) == {}
        assert {job.status for job in lab.jobs()} == {"SUCCEEDED"}
        assert lab.uploads() == []
    first, last = footprints[0], footprints[-1]
    assert last.tasks == 1, "the one that asks"
    # Threads that look up names, and connections that wait for use, come and go; what leaked would come with each task.
    slack = A_ROUND // 4
    assert last.threads <= first.threads + slack
    assert last.files <= first.files + slack
    assert last.memory <= first.memory + 100
