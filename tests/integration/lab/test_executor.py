"""The executor and its core work against the laboratory, one task and five hundred at once."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from lab import Lab, Queue, duplicates, endings, faults, results
from lab.endings import Ending
from lab.faults import Fault

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.errors import AWSBatchError

MIB = 1024 * 1024


def task(value: Any) -> Any:
    return value


def run(lab: Lab, count: int, argument: Callable[[int], Any] = int, **options: Any) -> list[Any]:
    """What comes of so many tasks at once: their results, or errors."""

    async def one(node: int) -> Any:
        executor = AWSBatchExecutor(**lab.options, poll_freq=0.2, **options)
        metadata = {"dispatch_id": "dispatch", "node_id": node}
        try:
            return (await executor.run(task, [argument(node)], {}, metadata)).get_deserialized()
        except AWSBatchError as error:
            return error

    async def everything() -> list[Any]:
        return list(await asyncio.gather(*map(one, range(count))))

    return asyncio.run(everything())


def names(count: int) -> list[str]:
    """What the laboratory's jobs return: their names, so that a result in the wrong hands shows."""
    return [f"covalent-batch-dispatch-{node}" for node in range(count)]


@pytest.mark.parametrize("result", [results.Envelope(), results.Envelope(apart=True), results.Legacy()])
def test_each_task_gets_its_own_result(result: results.Result) -> None:
    with Lab(result=result) as lab:
        assert run(lab, 10) == names(10)
        assert [job.status for job in lab.jobs()] == ["SUCCEEDED"] * 10
        assert len(lab.definitions()) == 1


def test_a_large_argument_goes_in_parts() -> None:
    payload = Random(1).randbytes(40 * MIB)
    with Lab(discard="func-*", faults=[faults.error("UploadPart", where={"PartNumber": "2"}, times=1)]) as lab:
        assert run(lab, 1, lambda _: payload) == names(1)
        assert lab.objects()["func-dispatch-0.pkl"].size > len(payload)
        assert lab.counts["UploadPart"] == 4
        assert lab.uploads() == []


def test_a_large_result_comes_in_ranges() -> None:
    value = Random(1).randbytes(13 * MIB)  # in base64 more than one range
    with Lab(result=results.Envelope(value, apart=True)) as lab:
        assert run(lab, 1) == [value]


@pytest.mark.parametrize(
    "script",
    [
        [faults.drop("PutObject", times=1)],
        [faults.drop("SubmitJob", acts=True, at=(3,))],
        [faults.error("SubmitJob", acts=True, at=(1, 5))],
        [faults.drop("SubmitJob", at=(2,)), faults.throttle("DescribeJobs", times=1)],
        [faults.truncate(times=2)],
        [faults.latency(0.1, jitter=0.1), faults.drip(100, 0.02, rate=0.5)],
    ],
)
def test_the_core_lives_with_faults(script: list[Fault]) -> None:
    with Lab(seed=2, faults=script) as lab:
        assert run(lab, 5) == names(5)
        assert sum(lab.struck.values()) > 0
        assert duplicates(lab.jobs()) == {}


FAILURES: list[tuple[Ending, str]] = [
    (endings.raised(), "1 is too few"),
    (endings.raised_legacy(), "1 is too few"),
    (endings.out_of_memory(), "memory"),
    (endings.timed_out(), "time limit"),
    (endings.terminated("Wrong queue, sorry"), "Wrong queue, sorry"),
    (endings.spot_reclaim(), "spot"),
    (endings.image_missing(), "manifest unknown"),
    # Others of the same image sign, so these are refused for that, or for what they are, whichever comes first.
    (endings.planted(b"cposix\nsystem\n(S'true'\ntR."), "was refused: "),
    (endings.corrupt_legacy(), "The result s3://lab-bucket/result-dispatch-8.pkl "),
    (endings.without_result(), "no result"),
]


def test_endings_reach_the_executor() -> None:
    with Lab(endings={name: ending for name, (ending, _) in zip(names(99), FAILURES, strict=False)}) as lab:
        for error, (ending, said) in zip(run(lab, len(FAILURES)), FAILURES, strict=True):
            assert isinstance(error, AWSBatchError), ending
            assert said in str(error)


def test_what_is_well_in_the_end_is_well() -> None:
    well = [endings.not_inspected(), endings.succeed_at(3), endings.spot_reclaim(then=endings.succeed())]
    with Lab(endings=dict(zip(names(3), well, strict=True))) as lab:
        assert run(lab, 3) == names(3)


def test_a_closed_queue_takes_no_job() -> None:
    with Lab(queues={"lab-queue": Queue(state="DISABLED")}) as lab:
        [error] = run(lab, 1)
        assert "DISABLED" in str(error)
        assert lab.jobs() == []


def test_five_hundred_tasks_at_once(record_property: Callable[[str, object], None]) -> None:
    count = 500
    with Lab(seed=1) as lab:
        before, start = _cpu(), time.monotonic()
        found = run(lab, count)
        seconds, cpu = time.monotonic() - start, _cpu() - before
        record_property("seconds", round(seconds, 2))
        record_property("cpu_ms_per_task", round(cpu / count * 1000, 2))
        print(f"{count} tasks: {seconds:.1f} s, {cpu / count * 1000:.1f} ms of processor time a task")
        assert found == names(count)
        assert len(lab.jobs()) == count
        assert duplicates(lab.jobs()) == {}
        assert len(lab.definitions()) == 1
        assert lab.uploads() == []
        assert lab.counts["SubmitJob"] == lab.counts["PutObject"] == count


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def test_the_laboratory_is_another_process() -> None:
    with Lab() as lab, Lab(own_process=False) as here:
        assert lab.pid != os.getpid() == here.pid
        assert run(lab, 1) == run(here, 1) == names(1)
