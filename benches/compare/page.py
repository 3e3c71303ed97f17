"""The page with the figures and the plots, as it stands in `docs/benchmarks/`."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import platform
from collections.abc import Iterable, Iterator
from pathlib import Path

from . import environments, model, standin
from .figures import Figure, series_run
from .measuring import Measurement, Runs
from .workloads import LATENCY, MIB, Sizes

_HEAD = """# Benchmarks

Made by `make bench`, which runs this package and the public plugin {public} in turn against the same stand-in for AWS
on the same machine. Each workload runs in a fresh process; what is measured begins when Covalent, the plugin and the
arguments are in memory. Jobs take 1 s, `poll_freq` is 1 s, and each call takes {latency:.0f} ms in the plots. Ratios
are what counts: machines are noisy. Jobs leave results in the envelope form as this package's runner does, or in the
legacy form as the public image's program does.

{facts}

## Figures

| | figure | target | measured | public plugin |
|---|---|---|---|---|
{figures}

## Over the number of tasks

{plots}

| tasks | plugin | wall | CPU per task | peak memory | calls | of which polling | job definitions |
|---|---|---|---|---|---|---|---|
{series}

The public plugin's curve ends where a run takes minutes; nothing is extrapolated.

## The cost model

[Scaling](../scaling.md) says what tasks cost by a formula. Beside what was measured with {most:,} tasks:

| | model | measured |
|---|---|---|
{model}

## The stand-in

It is the fault laboratory of the tests, a process of its own. What it can answer, so that it is not what is measured:

| request | a second |
|---|---|
{standin}

During the largest run it took {share:.0%} of a core.
"""


def write(folder: Path, runs: Runs, sizes: Sizes, figures: Iterable[Figure]) -> None:
    """Writes the page and its plots.

    Args:
        folder: Where to.
        runs: The measurements; those of the series that are missing are taken now.
        sizes: How large the run is.
        figures: What was measured.
    """
    from . import plots

    series = {"ours": [series_run(runs, "ours", tasks) for tasks in sizes.series]}
    if runs.has_public:
        series["public"] = [series_run(runs, "public", tasks) for tasks in sizes.public]
    folder.mkdir(parents=True, exist_ok=True)
    names = plots.draw(folder, series)
    largest = series["ours"][-1]
    text = _HEAD.format(
        public=environments.PUBLIC.rpartition("=")[2],
        latency=LATENCY * 1000,
        facts="\n".join(f"- {fact}" for fact in _facts()),
        figures="\n".join(map(_figure, figures)),
        plots="\n".join(f"![{title}]({name})" for name, title in names.items()),
        series="\n".join(_series(series)),
        most=largest.tasks,
        model="\n".join(_row(row) for row in compared(largest)),
        standin="\n".join(_row([name, f"{rate:,.0f}"]) for name, rate in standin.capacity().items()),
        share=largest.standin_cpu / largest.wall,
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def compared(found: Measurement) -> list[list[str]]:
    """What the cost model says of a plotted run of ours, beside what was measured; in words."""
    cost = model.cost(found.tasks, latency=LATENCY)
    memory = (found.memory_peak - found.memory_before) / MIB
    return [
        ["calls apart from polling", f"{cost.calls - cost.polls:,.0f}", f"{found.calls - found.polls:,}"],
        ["calls for polling", f"{cost.polls:,.0f}", f"{found.polls:,}"],
        ["seconds", f"{cost.seconds:.1f}", f"{found.wall:.1f}"],
        ["memory on top of the process before", f"{cost.memory / MIB:.0f} MiB", f"{memory:.0f} MiB"],
    ]


def _facts() -> Iterator[str]:
    yield f"{dt.datetime.now(dt.timezone.utc).date()}, {platform.system()} on {_processor()}"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    yield f"{os.cpu_count()} cores, {memory / 2**30:.0f} GiB of memory"
    ours = importlib.metadata.version("covalent-awsbatch-plugin")
    covalent = importlib.metadata.version("covalent")
    yield f"Python {platform.python_version()}, covalent {covalent}, this package {ours}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _figure(figure: Figure) -> str:
    mark = "✓" if figure.reached else "✗"
    return _row([mark, figure.what, figure.target, figure.measured, figure.public])


def _series(series: dict[str, list[Measurement]]) -> Iterator[str]:
    for name, runs in series.items():
        for run in runs:
            yield _row(
                [
                    f"{run.tasks:,}",
                    name,
                    f"{run.wall:.1f} s",
                    f"{run.cpu / run.tasks * 1000:.1f} ms",
                    f"{run.memory_peak / MIB:.0f} MiB",
                    f"{run.calls:,}",
                    f"{run.polls:,}",
                    f"{run.definitions:,}",
                ]
            )


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
