"""Running a workload in a process of its own, and what is then known about it."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import standin
from .driver import LOOK
from .environments import PLACE, Plugin
from .standin import Lab
from .workloads import Workload

DISPATCH = "bench"
_DRIVER = Path(__file__).with_name("driver.py")
_PATIENCE = 900.0  # seconds until a run is taken for hung
_BATCH = frozenset(
    {"SubmitJob", "DescribeJobs", "ListJobs", "DescribeJobDefinitions", "RegisterJobDefinition", "DescribeJobQueues"}
)


@dataclass(frozen=True)
class Measurement:
    """What a workload took.

    Attributes:
        tasks: How many tasks there were.
        wall: Seconds from the first task's start to the last result.
        cpu: Seconds of processor time of the client.
        memory_before: Bytes that the client held before it began, with Covalent, the plugin and the arguments.
        memory_peak: The most that it held.
        written: Bytes that it wrote to files.
        late: The longest that the event loop let a callback wait, in seconds; 0 if it was not watched.
        idle: The same of a thread that had nothing to do, in another process at the same time: the machine's share.
        counts: Calls by operation.
        described: Jobs in all DescribeJobs calls.
        polling: Seconds from the first DescribeJobs to the last.
        throttled: Calls of Batch that were refused by the account's limit.
        sent: Seconds from the start to the first submission: until the first argument is in the bucket.
        brought: Seconds from the first look at a result to the last result in hand.
        longest_gap: The longest time between two submissions, in seconds.
        definitions: Revisions of job definitions in the end.
        latencies: For each task the seconds from the job's end to the result in hand.
        standin_cpu: Seconds of processor time of the stand-in.
        problems: What is not as it must be: wrong results, jobs twice, uploads left behind.
    """

    tasks: int
    wall: float
    cpu: float
    memory_before: int
    memory_peak: int
    written: int
    late: float
    idle: float
    counts: dict[str, int]
    described: int
    polling: float
    throttled: int
    sent: float
    brought: float
    longest_gap: float
    definitions: int
    latencies: list[float] = field(repr=False)
    standin_cpu: float = 0.0
    problems: list[str] = field(default_factory=list)

    @property
    def calls(self) -> int:
        """All calls of AWS."""
        return sum(self.counts.values())

    @property
    def batch_calls(self) -> int:
        """Those that count against the account's limit."""
        return sum(count for name, count in self.counts.items() if name in _BATCH)

    @property
    def polls(self) -> int:
        """Those that ask for the state of jobs."""
        return self.counts.get("DescribeJobs", 0)

    @property
    def latency(self) -> float:
        """The median of the latencies."""
        return statistics.median(self.latencies)


def measure(plugin: Plugin, workload: Workload) -> Measurement:
    """Runs a workload."""
    with standin.standin(workload) as lab:
        found: dict[str, Any] = {}
        wrong: list[str] = []
        used = standin.cpu(lab)
        for process in range(workload.processes):
            dispatch = DISPATCH + str(process)
            found = _driven(plugin, workload, lab, dispatch)
            wrong += _wrong(workload, dispatch, found.pop("results"))
        return _measurement(workload, lab, found, standin.cpu(lab) - used, wrong)


def environment(plugin: Plugin) -> dict[str, str]:
    """What the plugin's processes see of this one's environment: nothing of AWS or Covalent."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "COVALENT_", "XDG_"))}
    kept.pop("PYTHONPATH", None)
    kept.pop("VIRTUAL_ENV", None)
    return {**kept, "HOME": str(plugin.home)}


def _driven(plugin: Plugin, workload: Workload, lab: Lab, dispatch: str) -> dict[str, Any]:
    scratch = tempfile.mkdtemp(prefix="scratch-", dir=PLACE)  # on a disk, so that what is written there counts
    asked = {
        "tasks": workload.tasks,
        "argument": workload.argument,
        "bulk": bool(workload.result),
        "watch_loop": workload.watch_loop,
        "dispatch": dispatch,
        "options": {**_options(plugin, lab), "cache_dir": scratch},
    }
    if workload.poll_freq is not None:
        asked["options"]["poll_freq"] = workload.poll_freq
    idle = [0.0]
    if workload.watch_loop:
        threading.Thread(target=_watch_machine, args=(idle, over := threading.Event())).start()
    try:
        done = subprocess.run(
            [plugin.python, _DRIVER],
            input=json.dumps(asked),
            stdout=subprocess.PIPE,
            env={**environment(plugin), **lab.environment, "TMPDIR": scratch},
            text=True,
            check=True,
            timeout=_PATIENCE,
        )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if workload.watch_loop:
            over.set()
    found: dict[str, Any] = json.loads(done.stdout)
    return {**found, "idle": idle[0]}


def _watch_machine(late: list[float], over: threading.Event) -> None:
    """Keeps the longest time by which a thread with nothing else to do woke up too late."""
    while True:
        due = time.monotonic() + LOOK
        if over.wait(LOOK):
            return
        late[0] = max(late[0], time.monotonic() - due)


def _options(plugin: Plugin, lab: Lab) -> dict[str, Any]:
    """The executor's options; the public plugin has none for the endpoint and follows the environment."""
    ours = plugin.name == "ours"
    return {name: value for name, value in lab.options.items() if ours or name != "endpoint_url"}


def _wrong(workload: Workload, dispatch: str, results: list[Any]) -> list[str]:
    if workload.result:
        base64 = -(-workload.result // 3) * 4
        return [f"a result of {size} bytes and not {base64}" for size in results if size != base64]
    expected = sorted(f"covalent-batch-{dispatch}-{node}" for node in range(workload.tasks))
    return [] if results == expected else ["results are wrong or in wrong hands"]


def _measurement(
    workload: Workload, lab: Lab, found: dict[str, Any], standin_cpu: float, wrong: list[str]
) -> Measurement:
    submitted = [call for call in lab.calls("SubmitJob") if call.acted]
    described = lab.calls("DescribeJobs")
    looks = [call for call in lab.calls("GetObject") if call.facts["Key"].startswith("result-")]
    gaps = [later.time - sooner.time for sooner, later in itertools.pairwise(submitted)]
    throttled = sum(call.status == 429 for call in lab.calls() if call.operation in _BATCH)
    jobs = lab.jobs()
    twice = Counter(Counter(job.name for job in jobs).values())
    problems = wrong + [f"{count} names have {jobs_} jobs" for jobs_, count in twice.items() if jobs_ > 1]
    if left := lab.uploads():
        problems.append(f"{len(left)} uploads are left unfinished")
    # In the order of their ends, which is all that is needed for a median.
    ends = sorted(
        call.time
        + workload.job_seconds
        + workload.spread * int(call.facts["jobName"].rpartition("-")[2]) / workload.tasks
        for call in submitted[-workload.tasks :]
    )
    hands = sorted(end - lab.start for end in found["ends"])
    return Measurement(
        tasks=workload.tasks,
        wall=found["wall"],
        cpu=found["cpu"],
        memory_before=found["memory_before"],
        memory_peak=found["memory_peak"],
        written=found["written"],
        late=found["late"],
        idle=found["idle"],
        counts=dict(lab.counts),
        described=sum(int(call.facts["jobs"]) for call in described),
        polling=described[-1].time - described[0].time if described else 0.0,
        throttled=throttled,
        sent=min((call.time for call in submitted), default=0.0) + lab.start - found["start"],
        brought=max(found["ends"]) - lab.start - min((call.time for call in looks), default=0.0),
        longest_gap=max(gaps, default=0.0),
        definitions=len(lab.definitions()),
        latencies=[hand - end for hand, end in zip(hands, ends, strict=False)],
        standin_cpu=standin_cpu,
        problems=problems,
    )


class Runs:
    """Measurements by plugin and workload, each taken once and when it is asked for.

    Args:
        plugins: What there is to measure, by name.
    """

    def __init__(self, plugins: dict[str, Plugin]) -> None:
        self.plugins = plugins
        self._taken: dict[tuple[str, Workload], Measurement] = {}

    def __call__(self, name: str, workload: Workload) -> Measurement:
        """The measurement."""
        at = (name, workload)
        if at not in self._taken:
            start = time.monotonic()
            print(f"  {name}: {workload} …", end=" ", flush=True)
            self._taken[at] = found = measure(self.plugins[name], workload)
            print(
                f"{found.wall:.2f} s, {found.cpu / found.tasks * 1000:.1f} ms of CPU a task, "
                f"{found.memory_peak / 2**20:.0f} MiB, {found.calls} calls, "
                f"stand-in {found.standin_cpu / found.wall:.0%} of a core ({time.monotonic() - start:.0f} s in all)",
                flush=True,
            )
            for problem in found.problems:
                print(f"    {problem}", file=sys.stderr, flush=True)
        return self._taken[at]

    @property
    def has_public(self) -> bool:
        """Whether the public plugin is measured too."""
        return "public" in self.plugins
