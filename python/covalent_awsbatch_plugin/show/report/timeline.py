"""When each electron was prepared, waited, was pulled, started and ran, as bars."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from covalent_awsbatch_plugin.show.amounts import duration

from .markup import breakable, escaped
from .work import Attempt, Work

KINDS = {
    "prepared": "packaged, uploaded and submitted",
    "queued": "waiting for a machine",
    "pulling": "pulling the image",
    "starting": "starting the container",
    "running": "running",
    "failed": "running, and failed",
    "fetched": "until Covalent had the result",
}
"""What is told apart, and what each is."""

_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400, 7 * 86400, 30 * 86400)
_MOST_TICKS = 6


@dataclass(frozen=True)
class Span:
    """A part of an electron's time.

    Attributes:
        kind: One of `KINDS`.
        begin: Seconds since 1970.
        end: Likewise.
        attempt: Which attempt it belongs to; 0 for none.
        job: The memory and the queue of its job, where the electron's jobs do not have the same.
    """

    kind: str
    begin: float
    end: float
    attempt: int = 0
    job: str = ""


def spans(work: Work, now: float) -> list[Span]:
    """The parts of an electron's time, in their order; those that are not known are missing.

    Args:
        work: The electron.
        now: Where what has not ended ends, in seconds since 1970.
    """
    electron = work.task.electron
    begun, ended = electron.started_at, electron.ended_at
    if not work.attempts:
        kind = "failed" if electron.status == "FAILED" else "running"
        return [] if begun is None else [Span(kind, begun, ended or now)]
    found: list[Span] = []
    last = begun
    for job in work.jobs:
        if not job.attempts:
            continue
        first = job.attempts[0].queued_at
        if last is not None and first is not None:
            found.append(Span("prepared", last, first))
        for attempt in job.attempts:
            found += _of_attempt(attempt, work, ended or now, work.differing(job))
        last = job.attempts[-1].stopped_at
    if last is not None and ended is not None:
        found.append(Span("fetched", last, ended))
    # AWS's clock and this machine's differ a little.
    return [span for span in found if span.end > span.begin]


def _of_attempt(attempt: Attempt, work: Work, now: float, job: str) -> Iterator[Span]:
    queued, started, own = attempt.queued_at, attempt.started_at, (attempt.number, job)
    until = started or attempt.stopped_at or now
    if queued is not None and (pulled := work.pull(attempt, until)):
        begin, end = pulled
        yield Span("queued", queued, begin, *own)
        yield Span("pulling", begin, end, *own)
        yield Span("starting", end, until, *own)
    elif queued is not None:
        yield Span("queued", queued, until, *own)
    if started is not None:
        failed = attempt.stopped_at is not None and attempt.exit_code != 0
        yield Span("failed" if failed else "running", started, attempt.stopped_at or now, *own)


def timeline(works: Sequence[Work], now: float) -> str:
    """The bars as HTML; empty if no time is known.

    Args:
        works: The electrons.
        now: Seconds since 1970.
    """
    rows = [(work, spans(work, now)) for work in works]
    known = [span for _, of_one in rows for span in of_one]
    if not known:
        return ""
    begin, end = min(span.begin for span in known), max(span.end for span in known)
    length = max(end - begin, 1.0)
    used = {span.kind for span in known}
    legend = "".join(f'<li><i class="{kind}"></i>{text}</li>' for kind, text in KINDS.items() if kind in used)
    axis = "".join(f'<b style="left:{100 * at / length:.3f}%">{duration(at)}</b>' for at in _ticks(length))
    bars = "".join(_row(work.label, of_one, begin, length) for work, of_one in rows)
    return f'<ul class="legend">{legend}</ul><div class="lanes"><div class="axis"><div>{axis}</div></div>{bars}</div>'


def _row(label: str, of_one: Iterable[Span], begin: float, length: float) -> str:
    bars = "".join(
        f'<i class="{span.kind}" style="left:{100 * (span.begin - begin) / length:.3f}%;'
        f'width:{100 * (span.end - span.begin) / length:.3f}%" title="{_title(span)}"></i>'
        for span in of_one
    )
    return f'<div class="lane"><span>{breakable(label)}</span><div>{bars}</div></div>'


def _title(span: Span) -> str:
    job = f", {span.job}" if span.job else ""
    attempt = f"attempt {span.attempt}{job}: " if span.attempt else ""
    return escaped(f"{attempt}{KINDS[span.kind]}, {duration(span.end - span.begin)}")


def _ticks(length: float) -> Iterator[float]:
    step = next((step for step in _STEPS if length / step <= _MOST_TICKS), length)
    at = 0.0
    while at <= length * 0.97:
        yield at
        at += step
