"""Measures both plugins, says which figures are missed, and writes `docs/benchmarks/`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from . import endtoend_figures, environments, figures, startup_figures, workloads
from .environments import PLACE, Plugin
from .measuring import Runs

MEASURES: dict[str, figures.Figures] = {
    "cpu": figures.cpu,
    "wall": figures.wall,
    "large": figures.large,
    "calls": figures.calls,
    "definitions": figures.definitions,
    "limit": figures.limit,
    "latency": figures.latency,
    "payload": figures.payload,
    "import": startup_figures.importing,
    "construct": startup_figures.constructing,
    "wheel": startup_figures.wheel,
    "container": startup_figures.container,
    "job": startup_figures.job,
    "packages": startup_figures.packages,
    "server": endtoend_figures.server,
    "travel": endtoend_figures.travelling,
    "loop": figures.loop,
    "soak": figures.soak,
}


def main() -> int:
    """Returns the exit status: 1 if a figure is missed."""
    parser = argparse.ArgumentParser(prog="python -m benches.compare", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=MEASURES, metavar="FIGURE", help=f"of: {', '.join(MEASURES)}")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that everything runs; judges nothing")
    parser.add_argument("--ours-python", type=Path, help="an interpreter that has this plugin, in place of the wheel's")
    parser.add_argument("--without-public", action="store_true", help="leave the public plugin out")
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write the page and the plots there")
    asked = parser.parse_args()
    PLACE.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    sizes = workloads.QUICK if asked.quick else workloads.FULL
    runs = Runs(_plugins(asked.ours_python, with_public=not asked.without_public))
    found: list[figures.Figure] = []
    for name in asked.only or MEASURES:
        print(f"{name}:", flush=True)
        for figure in MEASURES[name](runs, sizes):
            found.append(figure)
            mark = "✓" if figure.reached else "✗"
            beside = f"; public plugin {figure.public}" if figure.public else ""
            print(f"  {mark} {figure.what}: {figure.measured} (target {figure.target}{beside})", flush=True)
    if asked.write:
        # The plotting library is none of the project's needs otherwise.
        from . import page

        page.write(asked.write, runs, sizes, found)
    print(f"{time.monotonic() - start:.0f} s in all")
    missed = [figure for figure in found if not figure.reached]
    if missed and not asked.quick:
        print(f"\n{len(missed)} of {len(found)} figures are missed:", file=sys.stderr)
        for figure in missed:
            print(f"- {figure.what}: {figure.measured}, and not {figure.target}", file=sys.stderr)
        return 1
    return 0


def _plugins(ours_python: Path | None, *, with_public: bool) -> dict[str, Plugin]:
    ours = Plugin("ours", ours_python.absolute()) if ours_python else environments.ours(environments.newest_wheel())
    return {"ours": ours, **({"public": environments.public()} if with_public else {})}


if __name__ == "__main__":
    sys.exit(main())
