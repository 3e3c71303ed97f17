"""The figures about starting up; see `figures`."""

from __future__ import annotations

from collections.abc import Iterator

from . import jobstart, packing, startup
from .environments import common, newest_wheel
from .figures import Figure, at_most
from .measuring import Runs
from .workloads import MIB, Sizes


def job(runs: Runs, sizes: Sizes) -> Iterator[Figure]:
    """Processor time of a job before the function's first line, by where its packages are from."""
    start = jobstart.measure(runs.plugins["ours"], sizes.repeats)
    what = "Processor time of a job before the function's first line"
    share = start.bucket / start.image
    yield Figure(
        f"{what}, in Python's own image, as a share of an image that has it all",
        "≤ 1.3",
        f"{share:.2f} ({start.bucket:.2f} s)",
        share <= 1.3,
    )
    packages = " and ".join(jobstart.PACKAGES)
    yield at_most(f"{what}, with {packages} packed before", 2.5, start.packed, " s")
    share = start.packed / start.pip
    yield Figure(
        f"{what}, with {packages}, as a share of installing it in the job",
        "≤ 0.2",
        f"{share:.2f} ({start.pip:.2f} s)",
        share <= 0.2,
    )


def packages(runs: Runs, sizes: Sizes) -> Iterator[Figure]:
    """Packing wheels for jobs."""
    found = packing.measure(runs.plugins["ours"], sizes.repeats)
    size = found.size / 1e6
    what = f"Processor time of splicing {size:.0f} MB of wheels, without byte code"
    yield at_most(what, round(size / 60, 2), found.cpu, " s")
    what = f"Memory that splicing a wheel of {packing.LARGE / MIB:.0f} MiB takes"
    yield at_most(what, 100, found.memory / MIB, " MiB", digits=0)
    what = f"New in the bucket for a small package more than {found.packages}"
    yield at_most(what, 1, found.added / 1e6, " MB")


def importing(runs: Runs, sizes: Sizes) -> Iterator[Figure]:
    """Importing our module on top of Covalent's."""
    ours = startup.import_seconds(runs.plugins["ours"], sizes.repeats)
    public = startup.import_seconds(runs.plugins["public"], sizes.repeats) * 1000 if runs.has_public else None
    yield at_most("Import on top of Covalent", 20, ours * 1000, " ms", public, 1)


def constructing(runs: Runs, _: Sizes) -> Iterator[Figure]:
    """Making an executor."""
    ours = startup.construct_seconds(runs.plugins["ours"])
    public = startup.construct_seconds(runs.plugins["public"]) * 1000 if runs.has_public else None
    yield at_most("Making an executor", 0.2, ours * 1000, " ms", public, 3)


def wheel(_: Runs, __: Sizes) -> Iterator[Figure]:
    """The size of the release wheel."""
    yield at_most("Size of the wheel", 10, newest_wheel().stat().st_size / MIB, " MiB")


def container(runs: Runs, sizes: Sizes) -> Iterator[Figure]:
    """From process start to the function's first line, against the public image's program."""
    ours, public = startup.container_seconds(runs.plugins["ours"], common(), sizes.repeats)
    what = "In the container, from process start to the function's first line, as a share of the public image's program"
    yield Figure(what, "≤ 0.7", f"{ours / public:.2f} ({ours:.2f} s)", ours / public <= 0.7, f"{public:.2f} s")
