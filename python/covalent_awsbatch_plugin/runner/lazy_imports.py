"""Modules that Covalent imports and hardly a task uses, imported when Covalent uses them.

Nearly half of the time of `import covalent` goes into Dask (to count processors for its configuration), NetworkX (to
build workflows) and psutil (to look after its server). While Covalent is imported inside `deferred()`, an import
statement for one of them *in one of Covalent's own modules* binds a stand-in, which imports the real module at the
first use of an attribute and passes every use on to it.

Nothing else notices. The stand-ins are in no place but the globals of Covalent's modules: `sys.modules` has the real
module or none, so whoever else imports one, in whatever way, in the same moment or later, gets the real one, and
unpickling finds it there. What Covalent evaluates at once, while it is imported, is listed in `_stand_ins`. The list
fits the one minor version of Covalent that this package allows; any other use costs the time and is right.

Requests, which would save less, is not among them. Many tasks use it in threads, and Python's import can fail where two
threads are the first to import a package, one by its own name and one by a submodule's.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import math
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_COMPANIONS = (
    "concurrent.futures.process",
    "concurrent.futures.thread",
    "decimal",
    "email.policy",
    "html.entities",
    "multiprocessing.pool",
    "multiprocessing.queues",
    "xml.etree.ElementTree",
)
"""Modules of the standard library that come with those that are put off.

There is code that says `import multiprocessing` and then `multiprocessing.pool.ThreadPool`, which works wherever
anybody has imported the submodule.
"""


class StandIn(ModuleType):
    """Has the attributes of what an import statement binds, which is executed to look up the first of them.

    Args:
        statement: The module in the statement.
        **meanwhile: Attributes that it has without that, until `settle`.
    """

    def __init__(self, statement: str, **meanwhile: Any) -> None:
        super().__init__(statement.partition(".")[0])
        vars(self).update(meanwhile, _statement=statement, _meanwhile=meanwhile)

    def __getattr__(self, name: str) -> Any:
        return getattr(__import__(self._statement), name)

    def settle(self) -> None:
        """From now on all attributes are the module's."""
        for name in self._meanwhile:
            vars(self).pop(name, None)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Have Covalent, if it is imported in this block, put off what it does not need yet.

    The import statement looks up `builtins.__import__`, the only place that is told which module the statement is in:
    a finder on `sys.meta_path` is not, and what it finds is everybody's.
    """
    before = builtins.__import__
    stand_ins = _stand_ins()

    def importing(
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002  (the names are the builtin's)
        locals: Mapping[str, Any] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        stand_in = stand_ins.get(name) if level == 0 else None
        if (
            stand_in is not None
            and str((globals or {}).get("__name__")).startswith("covalent.")
            and stand_in.__name__ not in sys.modules
            and vars(stand_in).keys() >= set(fromlist or ())
        ):
            if stand_in.__name__ == "dask":
                _side_effects()
            return stand_in
        return before(name, globals, locals, fromlist, level)

    builtins.__import__ = importing
    try:
        yield
    finally:
        if builtins.__import__ is importing:
            builtins.__import__ = before
        # Somebody may have wrapped ours meanwhile; it goes on as a mere detour.
        while stand_ins:
            stand_ins.popitem()[1].settle()


def _stand_ins() -> dict[str, StandIn]:
    """What import statements of Covalent get, by the name in them, with what it asks for while it is imported.

    A string for a class is for the annotations of Covalent's functions, where it is as good: Python reads both, and
    `typing.get_type_hints` makes a class of it.
    """
    return {
        "dask.system": StandIn("dask.system", system=SimpleNamespace(CPU_COUNT=processors())),
        "networkx": StandIn("networkx", MultiDiGraph="nx.MultiDiGraph"),
        "psutil": StandIn("psutil"),
    }


def processors() -> int:
    """How many processors this process may use: what `dask.system.CPU_COUNT` is, the default of `dask.num_workers`."""
    if hasattr(os, "process_cpu_count"):  # from Python 3.13 on
        count = os.process_cpu_count() or 1
    else:
        count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota()
    return min(count, math.ceil(quota)) if quota > 0 else count


def _quota() -> float:
    """Processors that the control group allows, 0 for no limit."""
    groups = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError, ValueError, IndexError):
        for folder in (groups / "cpuacct,cpu", groups / "cpu,cpuacct"):  # version 1
            if (folder / "cpu.cfs_quota_us").exists():
                quota, period = (int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
                return quota / period
        own = Path("/proc/self/cgroup").read_text(encoding="ascii").strip().split(":")[-1]  # version 2
        quota, period = map(int, (groups / own.strip("/") / "cpu.max").read_text().split())
        return quota / period
    return 0


def _side_effects() -> None:
    """What importing Dask does to others at this point, and code may have come to rely on."""
    for name in _COMPANIONS:
        importlib.import_module(name)
    # Dask does this where tblib is installed: from then on tracebacks, and exceptions with theirs, can be pickled.
    with contextlib.suppress(ImportError):
        importlib.import_module("tblib.pickling_support").install()
