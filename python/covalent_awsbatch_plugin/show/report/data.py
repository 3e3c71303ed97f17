"""The same as the page, for a program."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from .prices import Cost, PriceTable, cost, cost_of_job
from .sizes import sizes
from .work import Run, Submitted, Work


def data(run: Run, prices: PriceTable, now: float) -> dict[str, Any]:
    """What is known of a dispatch as plain values; times are in seconds since 1970, and null if they are not known.

    Args:
        run: The dispatch.
        prices: By which jobs are priced.
        now: Seconds since 1970.
    """
    root = run.named.family[0] if run.named.family else None
    costs = [cost(work, prices, now) for work in run.works]
    return {
        "dispatch": run.named.dispatch_id,
        "name": root.name if root else None,
        "status": root.status if root else None,
        "started_at": root.started_at if root else None,
        "ended_at": root.ended_at if root else None,
        "currency": prices.currency,
        "cost": asdict(sum(costs, Cost())),
        "electrons": [
            {
                "dispatch": work.task.electron.dispatch_id,
                "node": work.task.electron.node_id,
                "name": work.label,
                "status": work.task.electron.status,
                "started_at": work.task.electron.started_at,
                "ended_at": work.task.electron.ended_at,
                "job": work.task.job_id or None,
                "console": work.newest.console if work.newest else None,
                "asked": asdict(work.newest.asked) if work.newest and work.newest.asked else None,
                "attempts": [{**asdict(attempt), "job": job.id} for job in work.jobs for attempt in job.attempts],
                "jobs": [_job(job, work, prices, now) for job in work.jobs],
                "usage": asdict(work.usage),
                "cost": asdict(of_one),
            }
            for work, of_one in zip(run.works, costs, strict=True)
        ],
        "memory": [asdict(size) for size in sizes(run.works)],
        "problems": list(run.problems),
    }


def _job(job: Submitted, work: Work, prices: PriceTable, now: float) -> dict[str, Any]:
    told = {**asdict(job), "cost": asdict(cost_of_job(job, work, prices, now))}
    del told["attempts"]
    return told
