"""The figures about whole workflows; see `figures`."""

from __future__ import annotations

from collections.abc import Iterator

from . import endtoend, travel
from .endtoend import Whole
from .figures import Figure, at_most
from .measuring import Runs
from .workloads import Sizes

# Jobs that a workflow cannot do without: one for each of its functions that is called.
_JOBS = {"basic": 1, "fan of 12": 13, "fan of 60": 61, "sublattice": 4, "svm": 2}
# The server's own share, which no plugin can save, is nearly all that is left.
_SHARE = 0.5


def server(runs: Runs, sizes: Sizes) -> Iterator[Figure]:
    """What a workflow takes on a real Covalent server, and how many jobs it makes of it."""
    workflows = [name for name in endtoend.WORKFLOWS if name in sizes.workflows]
    ours = endtoend.measure(runs.plugins["ours"], workflows)
    public = endtoend.measure(runs.plugins["public"], workflows) if runs.has_public else {}
    for name, whole in ours.items():
        beside = public.get(name)
        yield Figure(
            f"On a real Covalent server: {name}",
            f"≤ {_count(_JOBS[name])}, ≤ {_SHARE} of the server's processor time",
            _words(whole),
            whole.jobs <= _JOBS[name] and (beside is None or whole.cpu <= _SHARE * beside.cpu),
            "" if beside is None else f"{_words(beside)} ({beside.cpu / whole.cpu:.1f} times)",
        )


def travelling(runs: Runs, sizes: Sizes) -> Iterator[Figure]:
    """What a large result costs the bucket and the server, referred to and with all of it in each pickle."""
    size = sizes.travelling
    fan, result = f"a result of {size / 1e6:g} MB for 12 electrons", f"a result of {2.5 * size / 1e6:g} MB"
    referred, inline = (travel.measure(runs.plugins["ours"], size, runtime=runtime) for runtime in ("bucket", "image"))
    yield at_most(f"Into the bucket, {fan}", 1.5 * size / 1e6, referred["fan"].stored / 1e6, " MB", digits=0)
    share = referred["fan"].peak / inline["fan"].peak
    yield at_most(f"Covalent's server, {fan}, as a share of that with all of it in each pickle", 0.34, share, "")
    # Covalent alone keeps it in base64, and stores and loads it in one piece with three copies.
    yield at_most(f"Covalent's server, {result}", 3 * size / 1e6, referred["result"].peak / 1e6, " MB", digits=0)


def _words(whole: Whole) -> str:
    return f"{_count(whole.jobs)}, {whole.cpu:.2f} s of the server's processor, {whole.seconds:.1f} s"


def _count(jobs: int) -> str:
    return f"{jobs} job{'' if jobs == 1 else 's'}"
