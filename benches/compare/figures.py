"""The figures that are promised, each measured by one function and compared with its target."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from . import standin
from .measuring import Measurement, Runs
from .rawcopy import raw_copy
from .workloads import LATENCY, MIB, Sizes, Workload


@dataclass(frozen=True)
class Figure:
    """A figure and whether it is reached.

    Attributes:
        what: What was measured, in words.
        target: What it has to be, in words.
        measured: What it is, in words.
        reached: Whether that is enough.
        public: What the public plugin takes for the same in the same run; empty where that was not measured.
    """

    what: str
    target: str
    measured: str
    reached: bool
    public: str = ""


Figures = Callable[[Runs, Sizes], Iterator[Figure]]

_FORMS = ("envelope", "legacy")


def at_most(  # noqa: PLR0913, PLR0917
    what: str, limit: float, value: float, unit: str, public: float | None = None, digits: int = 2
) -> Figure:
    """A figure that must not be above a limit; with the public plugin's value where that is known."""
    show = f"{{:,.{digits}f}}{unit}".format
    beside = "" if public is None else f"{show(public)} ({public / value:,.1f} times)"
    return Figure(what, f"≤ {limit:,g}{unit}", show(value), value <= limit, beside)


def public_series(runs: Runs, sizes: Sizes) -> Measurement | None:
    """The public plugin's run that goes with the usual one of ours, if it is measured."""
    return series_run(runs, "public", sizes.usual) if runs.has_public and sizes.usual in sizes.public else None


def series_run(runs: Runs, name: str, tasks: int) -> Measurement:
    """One of the plotted runs; the public plugin's jobs can leave nothing but the legacy form."""
    form = "envelope" if name == "ours" else "legacy"
    return runs(name, Workload(tasks, form=form, latency=LATENCY))


def cpu(runs: Runs, sizes: Sizes) -> Iterator[Figure]:
    """Processor time of the client for a task, everything between `run` and the result in hand."""
    public = public_series(runs, sizes)
    beside = None if public is None else public.cpu / public.tasks * 1000
    for form in _FORMS:
        found = runs("ours", Workload(sizes.usual, form=form))
        what = f"CPU per task, {sizes.usual} tasks at once, {form} form"
        yield at_most(what, 5, found.cpu / found.tasks * 1000, " ms", beside)


def wall(runs: Runs, sizes: Sizes) -> Iterator[Figure]:
    """Time until a hundred tasks of a second are all done."""
    public = public_series(runs, sizes)
    found = runs("ours", Workload(sizes.usual))
    what = f"Wall time of {sizes.usual} tasks of 1 s at once"
    yield at_most(what, 2.5, found.wall, " s", None if public is None else public.wall)


def large(runs: Runs, sizes: Sizes) -> Iterator[Figure]:
    """The largest setting costs what it must and no more a task than a small one."""
    usual, most = (series_run(runs, "ours", tasks) for tasks in (sizes.usual, sizes.most))
    public = public_series(runs, sizes)
    latency = f"{LATENCY * 1000:.0f} ms of latency"
    memory = None if public is None else public.memory_peak / MIB
    what = f"Peak memory with {sizes.most:,} tasks at once, {latency} (public: {sizes.usual} tasks)"
    yield at_most(what, 500, most.memory_peak / MIB, " MiB", memory, 0)
    ratio = (most.cpu / most.tasks) / (usual.cpu / usual.tasks)
    yield at_most(f"CPU per task with {sizes.most:,} tasks, as a share of that with {sizes.usual}", 1.2, ratio, "")


def calls(runs: Runs, sizes: Sizes) -> Iterator[Figure]:
    """Calls of AWS for a task, apart from polling, and those for polling."""
    public = public_series(runs, sizes)
    beside = None if public is None else (public.calls - public.polls) / public.tasks
    for form, limit in zip(_FORMS, (3.1, 4.1), strict=True):
        found = runs("ours", Workload(sizes.usual, form=form))
        each = (found.calls - found.polls) / found.tasks
        yield at_most(f"AWS calls per task apart from polling, {form} form", limit, each, "", beside)
    found = series_run(runs, "ours", sizes.many)
    # A sweep lasts a second at the least, and its last call may be for fewer than a hundred jobs.
    allowed = found.described / 100 + found.polling / 1.0 + 1
    yield at_most(f"DescribeJobs calls, as a multiple of what {sizes.many:,} tasks need", 1, found.polls / allowed, "")


def definitions(runs: Runs, sizes: Sizes) -> Iterator[Figure]:
    """One registration for all tasks that start in the same moment, and none where another process came before."""
    found = runs("ours", Workload(sizes.many, processes=2))
    what = f"Job definitions registered by 2 processes of {sizes.many:,} tasks each"
    registered = found.counts.get("RegisterJobDefinition", 0)
    public = public_series(runs, sizes)
    beside = "" if public is None else f"{public.definitions} for {public.tasks} tasks"
    yield Figure(what, "1", str(registered), registered == found.definitions == 1, beside)


def limit(runs: Runs, sizes: Sizes) -> Iterator[Figure]:
    """Under the account's real limit, as fast as it allows, without wasting calls and without starving submission."""
    workload = Workload(sizes.limited, limited=True)
    found = runs("ours", workload)
    # What cannot be done without: a submission for each, one look at all of them, and the definition found and made.
    needed = sizes.limited + -(-sizes.limited // 100) + 3
    floor = max(0.0, needed - standin.LIMIT) / standin.LIMIT + workload.job_seconds
    what = f"Wall time of {sizes.limited} tasks with 50 Batch calls a second, as a multiple of the {floor:.1f} s needed"
    yield at_most(what, 1.3, found.wall / floor, "")
    yield at_most("Batch calls wasted on throttling", 10, found.throttled / found.batch_calls * 100, " %")
    yield at_most("Longest pause between two submissions meanwhile", 1, found.longest_gap, " s")


def latency(runs: Runs, sizes: Sizes) -> Iterator[Figure]:
    """How soon a result is in hand with the default options, and what polling costs then."""
    few = runs("ours", Workload(sizes.few, poll_freq=None, job_seconds=2.0, spread=4.0))
    yield at_most(f"Median time from a job's end to its result in hand, {sizes.few} tasks", 1, few.latency, " s")
    usual = runs("ours", Workload(sizes.usual, poll_freq=None, job_seconds=2.0, spread=8.0))
    rate = (usual.polls - 1) / usual.polling if usual.polling else 0.0
    yield at_most(f"DescribeJobs calls a second while {sizes.usual} tasks run", 1, rate, "")


def payload(runs: Runs, sizes: Sizes) -> Iterator[Figure]:
    """One large argument and one large result."""
    mib = sizes.payload // MIB
    for kind in ("argument", "result"):
        workload = Workload(1, job_seconds=0.0, poll_freq=0.1, **{kind: sizes.payload})
        taken = [runs("ours", replace(workload, number=number)) for number in range(1, sizes.often + 1)]
        found = taken[0]
        if runs.has_public:
            public = runs("public", replace(workload, form="legacy"))
            share = found.wall / public.wall
            beside = f"{public.wall:.2f} s"
            measured = f"{share:.2f} ({found.wall:.2f} s)"
            yield Figure(
                f"Wall time of a {mib} MiB {kind}, as a share of the public plugin's",
                "≤ 0.7",
                measured,
                share <= 0.7,
                beside,
            )
        # The argument is there before the run begins; the result is what it brings.
        beyond = found.memory_peak - found.memory_before - (-(-sizes.payload // 3) * 4 if kind == "result" else 0)
        yield at_most(f"Memory beyond the payload, {mib} MiB {kind}", 150, beyond / MIB, " MiB", digits=0)
        yield at_most(f"Written to files meanwhile, {mib} MiB {kind}", 1, found.written / MIB, " MiB")
        seconds = min(raw_copy(kind, -(-sizes.payload // 3) * 4) for _ in taken)
        if seconds:
            # The way of the payload alone: a job that is submitted and watched is no matter of throughput. The least of
            # either, for what the machine adds now and then is nobody's.
            share = seconds / min(run.sent if kind == "argument" else run.brought for run in taken)
            measured = f"{share:.0%} ({seconds:.2f} s)"
            yield Figure(
                f"Throughput as a share of a raw copy with the SDK alone, {mib} MiB {kind}",
                "≥ 80%",
                measured,
                share >= 0.8,
            )


def loop(runs: Runs, sizes: Sizes) -> Iterator[Figure]:
    """The event loop stays free while large payloads come and go."""
    tasks, size = sizes.in_flight
    workload = Workload(tasks, argument=size, result=size, watch_loop=True)
    taken = [runs("ours", replace(workload, number=number)) for number in range(1, sizes.often + 1)]
    # What is ours comes every time; what the machine adds now and then, and its idle thread may miss, does not.
    found = min(taken, key=lambda run: run.late)
    what = f"Longest wait of a callback of the event loop beyond that of an idle thread, {tasks} tasks with "
    what += f"{size // MIB} MiB each way, least of {sizes.often} runs"
    late, idle = found.late * 1000, found.idle * 1000
    figure = at_most(what, 50, max(0.0, late - idle), " ms", digits=0)
    yield replace(figure, measured=f"{figure.measured} ({late:.0f} ms, and {idle:.0f} ms of the idle thread)")


def soak(runs: Runs, sizes: Sizes) -> Iterator[Figure]:
    """What is promised under faults holds in the largest setting as well."""
    found = runs("ours", Workload(sizes.most, latency=LATENCY, faults=True))
    what = f"{sizes.most:,} tasks under faults: wrong or missing results, second jobs, uploads left"
    yield Figure(what, "none", "; ".join(found.problems) or "none", not found.problems)
