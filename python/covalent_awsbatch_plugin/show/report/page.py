"""The page: one file with all that it needs; it asks nothing of anybody."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from covalent_awsbatch_plugin.show.amounts import duration
from covalent_awsbatch_plugin.show.explanation import Failure
from covalent_awsbatch_plugin.show.named import count

from .markup import breakable, escaped, table
from .prices import Cost, PriceTable, cost
from .sizes import Size, sizes
from .timeline import timeline
from .work import Run, Work

_STYLE = Path(__file__).with_name("page.css")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""A browser that is told so loads nothing from anywhere."""

_MOST_FAILURES = 20


def page(run: Run, failures: Sequence[Failure], prices: PriceTable, now: float) -> str:
    """Write the page.

    Args:
        run: The dispatch.
        failures: Why electrons failed.
        prices: By which jobs are priced.
        now: When it is written, in seconds since 1970.
    """
    costs = [cost(work, prices, now) for work in run.works]
    root = run.named.family[0] if run.named.family else None
    name = root.name if root else "Dispatch"
    parts = [
        f"<h1>{escaped(name)}</h1>",
        f'<p class="id">{escaped(run.named.dispatch_id)}</p>',
        f"<p>{_when(run, now)}</p>",
        *(f'<p class="bad">{escaped(problem)}</p>' for problem in run.problems),
        _tiles(run, sum(costs, Cost()), prices),
        *_failed(failures, run.named.dispatch_id),
        "<h2>When</h2>",
        timeline(run.works, now) or '<p class="dim">No time is known.</p>',
        *_memory(sizes(run.works)),
        "<h2>Electrons</h2>",
        _electrons(run.works, costs, prices, now),
        f'<p class="dim">{escaped(_about(prices))}</p>',
    ]
    style = _STYLE.read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{escaped(name)} {escaped(run.named.dispatch_id[:8])}</title><style>\n{style}</style></head>\n<body>"
        + "\n".join(parts)
        + "</body></html>\n"
    )


def _when(run: Run, now: float) -> str:
    root = run.named.family[0] if run.named.family else None
    if root is None:
        return "What Covalent knows of it is not known here."
    status = f'<b class="{"bad" if root.status == "FAILED" else ""}">{escaped(root.status)}</b>'
    if root.started_at is None:
        return status
    ended = root.ended_at if root.has_ended else None
    took = duration((ended or now) - root.started_at)
    return f"{status} · {_time(root.started_at)} · {took}{'' if ended else ' so far'}"


def _tiles(run: Run, total: Cost, prices: PriceTable) -> str:
    states = Counter(map(_state, run.works))
    jobs = sum(bool(work.task.job_id) for work in run.works)
    attempts = sum(len(work.attempts) for work in run.works)
    came_to = ", ".join(f"{number} {state}" for state, number in states.items())
    tiles = [
        (str(len(run.works)), f"electron{'s' * (len(run.works) != 1)}{': ' * bool(states)}{came_to}"),
        (str(jobs), f"job{'s' * (jobs != 1)}, {count(attempts, 'attempt')}"),
        (f"{total.vcpu_hours:,.2f}", "vCPU-hours"),
        (f"{total.gb_hours:,.2f}", "GB-hours of memory"),
        *([(f"{total.gpu_hours:,.2f}", "GPU-hours")] if total.gpu_hours else []),
        (_money(total.amount, prices), "estimated cost"),
    ]
    return (
        f'<ul class="tiles">{"".join(f"<li><b>{escaped(n)}</b><span>{escaped(t)}</span></li>" for n, t in tiles)}</ul>'
    )


def _failed(failures: Sequence[Failure], dispatch_id: str) -> Iterator[str]:
    if not failures:
        return
    yield "<h2>Why it failed</h2>"
    for failure in failures[:_MOST_FAILURES]:
        said = f"<b>{escaped(failure.name)}({escaped(failure.arguments)})</b>\n{escaped(failure.sentence)}"
        yield f'<div class="failure">{said}</div>'
    if len(failures) > _MOST_FAILURES:
        yield f"<p>And {count(len(failures) - _MOST_FAILURES, 'electron')} more.</p>"
    yield f"<p>Where in the source: <code>covalent-awsbatch why {escaped(dispatch_id)}</code></p>"


def _memory(found: Sequence[Size]) -> Iterator[str]:
    if not found:
        return
    yield "<h2>Memory</h2>"
    yield table(
        ("function", "jobs", "asked", "used at most", "proposed"),
        [
            (
                breakable(size.function),
                str(size.jobs),
                _gb(size.asked_mib),
                "not known" if size.peak_mib is None else _gb(size.peak_mib),
                _proposal(size),
            )
            for size in found
        ],
        numbers=(1, 2, 3),
    )
    if any(size.peak_mib is not None and not size.is_of_container for size in found):
        yield (
            '<p class="dim">Used is what the largest process of a job took. Where a function starts others, all of '
            "them together took more.</p>"
        )


def _proposal(size: Size) -> str:
    if size.proposed_mib is None:
        return "it is right" if size.peak_mib is not None else ""
    proposed = f"<code>memory={size.proposed_mib / 1024:g}</code>"
    return f"{proposed}, as one was killed for its memory" if size.was_killed else proposed


def _electrons(works: Sequence[Work], costs: Sequence[Cost], prices: PriceTable, now: float) -> str:
    rows = []
    for work, of_one in zip(works, costs, strict=True):
        asked = "" if work.asked is None else f"{work.asked.vcpus:g} vCPU, {_gb(work.asked.memory_mib)}"
        asked += f", {work.asked.gpus:g} GPU" if work.asked is not None and work.asked.gpus else ""
        asked += f" on each of {work.asked.nodes} nodes" if work.asked is not None and work.asked.nodes > 1 else ""
        rows.append(
            (
                breakable(work.label),
                escaped(_state(work)),
                _exits(work),
                _sum(work, now, ran=False),
                _sum(work, now, ran=True),
                asked,
                escaped(_money(of_one.amount, prices)) if work.asked is not None else "",
                _link(work),
            )
        )
    heads = ("electron", "state", "exit codes", "waited", "ran", "asked", "cost", "job")
    return table(heads, rows, numbers=(3, 4, 6))


def _state(work: Work) -> str:
    """Its state, by Covalent; that of one that has not begun is called otherwise there."""
    status = work.task.electron.status
    return "not begun" if status == "NEW_OBJECT" else status.lower()


def _exits(work: Work) -> str:
    codes = ["-" if one.exit_code is None else str(one.exit_code) for one in work.attempts]
    reasons = "; ".join(f"attempt {one.number}: {one.reason}" for one in work.attempts if one.reason)
    return f'<span title="{escaped(reasons)}">{", ".join(codes)}</span>'


def _sum(work: Work, now: float, *, ran: bool) -> str:
    """How long all attempts ran, or waited before they did."""
    if not work.attempts:
        electron = work.task.electron
        known = ran and electron.started_at is not None
        return duration((electron.ended_at or now) - (electron.started_at or 0)) if known else ""
    pairs = [
        (one.started_at, one.stopped_at or now) if ran else (one.queued_at, one.started_at or one.stopped_at or now)
        for one in work.attempts
    ]
    return duration(sum(end - begin for begin, end in pairs if begin is not None))


def _link(work: Work) -> str:
    shown = f'<span class="id">{escaped(work.task.job_id)}</span>'
    if work.console is None:
        return shown
    return f'<a href="{escaped(work.console)}" rel="noreferrer">{shown}</a>'


def _about(prices: PriceTable) -> str:
    kinds = (("EC2", prices.EC2), ("Fargate", prices.FARGATE))
    each = "; ".join(
        f"{name}: {one.vcpu_hour:g} a vCPU-hour, {one.gb_hour:g} a GB-hour"
        + (f", {one.gpu_hour:g} a GPU-hour" if one.gpu_hour else "")
        for name, one in kinds
    )
    charged = f"{each}; on Fargate a minute at least for each attempt"
    return f"The cost is an estimate in {prices.currency}: {charged}. {prices.about}"


def _money(amount: float, prices: PriceTable) -> str:
    shown = "< 0.0001" if 0 < amount < 0.0001 else f"{amount:,.2f}" if amount >= 1 or not amount else f"{amount:.4f}"
    return f"{shown} {prices.currency}"


def _gb(mib: float) -> str:
    return f"{mib / 1024:.2f} GB"


def _time(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
