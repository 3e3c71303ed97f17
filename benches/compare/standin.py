"""The stand-in for AWS: the fault laboratory of the tests, set up for a workload."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lab import Lab, endings, faults, results
from lab.bulk import Bulk

from .workloads import Workload

LIMIT = 50.0
"""Batch calls a second that an account has; as many may come at once after a pause."""


def standin(workload: Workload) -> Lab:
    """A stand-in in which this workload can run, not yet started."""
    legacy = workload.form == "legacy"
    result: Any = (
        Bulk(workload.result, legacy) if workload.result else results.Legacy() if legacy else results.Envelope()
    )
    calm = [faults.latency(workload.latency)] if workload.latency else []
    limit = [faults.limit(LIMIT)] if workload.limited else []
    injected = faults.transient() if workload.faults else []
    spread = {
        f"*-{node}": endings.succeed(seconds=workload.job_seconds + workload.spread * node / workload.tasks)
        for node in range(workload.tasks)
        if workload.spread
    }
    return Lab(
        seed=1,
        faults=[*calm, *limit, *injected],
        endings=spread,
        result=result,
        job_seconds=workload.job_seconds,
        discard="func-*",
    )


def cpu(lab: Lab) -> float:
    """Seconds of processor time that the stand-in has taken."""
    fields = Path(f"/proc/{lab.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def capacity() -> dict[str, float]:
    """Requests a second that the stand-in can answer, by kind."""
    from lab.measure import rates

    with Lab() as lab:
        return {name: per_second for name, per_second, _ in rates(lab, 5000)}
