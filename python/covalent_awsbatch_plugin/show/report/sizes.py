"""How much memory functions took, beside what they asked for, and what would be right."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from covalent_awsbatch_plugin.options import fargate
from covalent_awsbatch_plugin.printable import one_line

from .work import MIB, Asked, Submitted, Work

_ROOM = 1.25
_STEP_MIB = 256
_TIGHT = 1.1
"""A process that takes so near to all of its memory is to have more."""


@dataclass(frozen=True)
class Size:
    """The memory of the jobs of a function.

    Attributes:
        function: Its name.
        jobs: How many there were.
        asked_mib: What the first jobs of its electrons asked for; the most, if that differs.
        largest_mib: The most that any of them asked for: further jobs may ask for more.
        peak_mib: Most that one of them took; None if none left word of it.
        is_of_container: Whether that is all of the container, and not its largest process.
        proposed_mib: What would be right; None if it is right, or cannot be told.
        was_killed: Whether one was killed for its memory.
    """

    function: str
    jobs: int
    asked_mib: float
    largest_mib: float
    peak_mib: float | None
    is_of_container: bool
    proposed_mib: float | None
    was_killed: bool


def sizes(works: Iterable[Work]) -> list[Size]:
    """The memory of each function's jobs, in the order of the graph.

    Args:
        works: The electrons.
    """
    by_function: dict[str, list[Work]] = {}
    for work in works:
        if _known(work):
            by_function.setdefault(one_line(work.task.electron.name), []).append(work)
    return [_size(function, of_it) for function, of_it in by_function.items()]


def _known(work: Work) -> list[tuple[Submitted, Asked]]:
    """An electron's jobs of which it is known how much memory they asked for."""
    return [(job, job.asked) for job in work.jobs if job.asked is not None and job.asked.memory_mib]


def _size(function: str, works: list[Work]) -> Size:
    known = [_known(work) for work in works]
    asked = max(jobs[0][1].memory_mib for jobs in known)
    peaks = [taken for work in works if (taken := work.usage.peak_bytes) is not None]
    peak = max(peaks) / MIB if peaks else None
    return Size(
        function=function,
        jobs=sum(map(len, known)),
        asked_mib=asked,
        largest_mib=max(of_one.memory_mib for jobs in known for _, of_one in jobs),
        peak_mib=peak,
        is_of_container=all(work.usage.container_bytes is not None for work in works if work.usage.peak_bytes),
        proposed_mib=_proposed(asked, peak, works),
        was_killed=any(job.was_killed for jobs in known for job, _ in jobs),
    )


def _proposed(asked: float, peak: float | None, works: list[Work]) -> float | None:
    """A quarter more than was taken at most, in steps of 256 MiB; twice as much as was not enough.

    What a container took has files in it that Linux would give up: it says that less is enough, and not that more is
    needed. Where a further job had enough, it is no more than that one asked for, and more than what was not enough.
    """
    known = [_known(work) for work in works]
    killed = [of_one.memory_mib for jobs in known for job, of_one in jobs if job.was_killed]
    if any(jobs[-1][0].was_killed for jobs in known):
        wanted = 2 * max(killed)
    elif killed:
        enough = max(jobs[-1][1].memory_mib for jobs in known)
        wanted = enough if peak is None else min(enough, max(_with_room(peak), max(killed) + _STEP_MIB))
    elif peak is None:
        return None
    elif (wanted := _with_room(peak)) >= asked:
        process = max((work.usage.process_bytes or 0 for work in works), default=0) / MIB
        if process * _TIGHT <= asked:
            return None
        wanted = _with_room(process)
    if (of_first := known[0][0][1]).is_fargate:
        try:
            wanted = float(fargate.memory(of_first.vcpus, wanted / 1024))
        except ValueError:
            return None
    return None if wanted == asked else wanted


def _with_room(mib: float) -> float:
    return float(max(_STEP_MIB, math.ceil(mib * _ROOM / _STEP_MIB) * _STEP_MIB))
