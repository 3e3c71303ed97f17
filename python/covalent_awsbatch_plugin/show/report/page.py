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
from .prices import Cost, PriceTable, cost, cost_of_job
from .sizes import Size, sizes
from .timeline import timeline
from .work import Attempt, Run, Submitted, Work, gb

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
    total = sum((cost(work, prices, now) for work in run.works), Cost())
    root = run.named.family[0] if run.named.family else None
    name = root.name if root else "Dispatch"
    parts = [
        f"<h1>{escaped(name)}</h1>",
        f'<p class="id">{escaped(run.named.dispatch_id)}</p>',
        f"<p>{_when(run, now)}</p>",
        *(f'<p class="bad">{escaped(problem)}</p>' for problem in run.problems),
        _tiles(run, total, prices),
        *_failed(failures, run.named.dispatch_id),
        "<h2>When</h2>",
        timeline(run.works, now) or '<p class="dim">No time is known.</p>',
        *_memory(sizes(run.works)),
        "<h2>Electrons</h2>",
        _electrons(run.works, prices, now),
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
    jobs = sum(len(work.jobs) for work in run.works)
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
                gb(size.asked_mib) + (f", then {gb(size.largest_mib)}" if size.largest_mib > size.asked_mib else ""),
                "not known" if size.peak_mib is None else gb(size.peak_mib),
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


def _electrons(works: Sequence[Work], prices: PriceTable, now: float) -> str:
    rows: list[tuple[str, ...]] = []
    for work in works:
        rows.append(_electron(work, prices, now))
        if len(work.jobs) > 1:
            rows += [_job(job, work, prices, now) for job in work.jobs]
    heads = ("electron", "state", "exit codes", "waited", "ran", "asked", "cost", "job")
    return table(heads, rows, numbers=(3, 4, 6))


def _electron(work: Work, prices: PriceTable, now: float) -> tuple[str, ...]:
    several = len(work.jobs) > 1
    newest = work.newest
    is_known = any(job.asked is not None for job in work.jobs)
    return (
        breakable(work.label),
        escaped(_state(work)),
        _exits(work.attempts),
        _sum(work, now, ran=False),
        _sum(work, now, ran=True),
        "" if several or newest is None else _asked(newest),
        escaped(_money(cost(work, prices, now).amount, prices)) if is_known else "",
        count(len(work.jobs), "job") if several else _link(newest.id, newest.console) if newest else _link("", None),
    )


def _job(job: Submitted, work: Work, prices: PriceTable, now: float) -> tuple[str, ...]:
    """A job of an electron that has several."""
    numbers = [attempt.number for attempt in job.attempts]
    last = f" to {numbers[-1]}" if len(numbers) > 1 else ""
    which = f"attempt{'s' * (len(numbers) > 1)} {numbers[0]}{last}" if numbers else "attempts not known"
    queue = f"in queue {escaped(job.queue)}" if len({one.queue for one in work.jobs if one.queue}) > 1 else ""
    return (
        f'<span class="of">{which}</span>',
        escaped(job.status.lower()) + ", for its memory" * job.was_killed,
        _exits(job.attempts),
        _times(job.attempts, now, ran=False),
        _times(job.attempts, now, ran=True),
        " ".join(filter(None, (_asked(job), queue))),
        escaped(_money(cost_of_job(job, work, prices, now).amount, prices)) if job.asked is not None else "",
        _link(job.id, job.console),
    )


def _asked(job: Submitted) -> str:
    asked = job.asked
    if asked is None:
        return ""
    text = f"{asked.vcpus:g} vCPU, {gb(asked.memory_mib)}"
    text += f", {asked.gpus:g} GPU" if asked.gpus else ""
    return text + (f" on each of {asked.nodes} nodes" if asked.nodes > 1 else "")


def _state(work: Work) -> str:
    """Its state, by Covalent; that of one that has not begun is called otherwise there."""
    status = work.task.electron.status
    return "not begun" if status == "NEW_OBJECT" else status.lower()


def _exits(attempts: Sequence[Attempt]) -> str:
    codes = ["-" if one.exit_code is None else str(one.exit_code) for one in attempts]
    reasons = "; ".join(f"attempt {one.number}: {one.reason}" for one in attempts if one.reason)
    return f'<span title="{escaped(reasons)}">{", ".join(codes)}</span>'


def _sum(work: Work, now: float, *, ran: bool) -> str:
    """How long all attempts ran, or waited before they did."""
    if work.attempts:
        return _times(work.attempts, now, ran=ran)
    electron = work.task.electron
    known = ran and electron.started_at is not None
    return duration((electron.ended_at or now) - (electron.started_at or 0)) if known else ""


def _times(attempts: Sequence[Attempt], now: float, *, ran: bool) -> str:
    pairs = [
        (one.started_at, one.stopped_at or now) if ran else (one.queued_at, one.started_at or one.stopped_at or now)
        for one in attempts
    ]
    return duration(sum(end - begin for begin, end in pairs if begin is not None)) if pairs else ""


def _link(job_id: str, console: str | None) -> str:
    shown = f'<span class="id">{escaped(job_id)}</span>'
    return shown if console is None else f'<a href="{escaped(console)}" rel="noreferrer">{shown}</a>'


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


def _time(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
