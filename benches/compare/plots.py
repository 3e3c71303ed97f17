"""Plots over the number of tasks, as SVG."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .measuring import Measurement
from .workloads import MIB

# Colours that stay apart for everybody, and in grey.
_LOOKS = {"ours": ("#0b6e4f", "o", "this package"), "public": ("#c8553d", "s", "public plugin 0.42.0")}

_PLOTS: dict[str, tuple[str, Callable[[Measurement], float]]] = {
    "wall.svg": ("wall time, s", lambda run: run.wall),
    "cpu.svg": ("CPU of the client, s", lambda run: run.cpu),
    "memory.svg": ("peak memory, MiB", lambda run: run.memory_peak / MIB),
    "calls.svg": ("AWS calls", lambda run: run.calls),
}


def draw(folder: Path, series: dict[str, list[Measurement]]) -> dict[str, str]:
    """Writes the plots.

    Args:
        folder: Where to.
        series: Runs by plugin.

    Returns:
        Their titles by file name.
    """
    import matplotlib as mpl

    mpl.use("svg")
    # Nothing in the files that differs from run to run without need.
    mpl.rcParams.update({"svg.hashsalt": "benchmarks", "font.family": "sans-serif", "svg.fonttype": "none"})
    from matplotlib import pyplot as plt

    for name, (title, value) in _PLOTS.items():
        figure, axes = plt.subplots(figsize=(5.6, 3.6), layout="constrained")
        for plugin, runs in series.items():
            colour, marker, label = _LOOKS[plugin]
            axes.plot([run.tasks for run in runs], [value(run) for run in runs], marker, ls="-", c=colour, label=label)
        axes.set(xscale="log", yscale="log", xlabel="tasks at once", ylabel=title)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.yaxis.set_major_formatter("{x:,g}")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        figure.savefig(folder / name, metadata={"Date": None})
        plt.close(figure)
    return {name: title for name, (title, _) in _PLOTS.items()}
