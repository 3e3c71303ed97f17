"""Lazy imports of modules that Covalent imports and few tasks use.

Nearly half of the time of `import covalent` goes into Dask (to count processors for its configuration), NetworkX (to
build workflows) and psutil (to manage its server). While Covalent is imported inside `lazy_imports()`, an import
statement for one of them *in one of Covalent's own modules* binds a lazy module, which imports the real one at the
first use of an attribute and forwards every use to it.

Other code is not affected. Lazy modules exist only in the globals of Covalent's modules: `sys.modules` has the real
module or none, so every other import gets the real one, and unpickling finds it there. The attributes that Covalent
evaluates during its own import are listed in `_lazy_modules`. The list fits the one minor version of Covalent that this
package allows; any other use costs time and is still correct.

Requests, which would save less, is not lazy: many tasks use it in threads, and Python's import can fail where two
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

_IMPLICIT_SUBMODULES = (
    "concurrent.futures.process",
    "concurrent.futures.thread",
    "decimal",
    "email.policy",
    "html.entities",
    "multiprocessing.pool",
    "multiprocessing.queues",
    "xml.etree.ElementTree",
)
"""Submodules of the standard library that the lazy modules would have imported.

Some code says `import multiprocessing` and then `multiprocessing.pool.ThreadPool`, which works only if something else
has imported the submodule.
"""


class LazyModule(ModuleType):
    """Executes an import statement at the first use of an attribute, and forwards all uses.

    Args:
        statement: The module in the statement.
        **preset: Attributes that it has without the import, until `forward_everything`.
    """

    def __init__(self, statement: str, **preset: Any) -> None:
        super().__init__(statement.partition(".")[0])
        vars(self).update(preset, _statement=statement, _preset=preset)

    def __getattr__(self, name: str) -> Any:
        return getattr(__import__(self._statement), name)

    def forward_everything(self) -> None:
        """Remove the preset attributes, so that all of them are the module's."""
        for name in self._preset:
            vars(self).pop(name, None)


@contextlib.contextmanager
def lazy_imports() -> Iterator[None]:
    """Import some of Covalent's dependencies lazily, if Covalent is imported in this block.

    Replaces `builtins.__import__`, because only that knows which module contains the import statement. A finder on
    `sys.meta_path` does not, and would affect all modules.
    """
    original = builtins.__import__
    lazy_modules = _lazy_modules()

    def import_hook(
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002  (the names are the builtin's)
        locals: Mapping[str, Any] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        lazy_module = lazy_modules.get(name) if level == 0 else None
        if (
            lazy_module is not None
            and str((globals or {}).get("__name__")).startswith("covalent.")
            and lazy_module.__name__ not in sys.modules
            and vars(lazy_module).keys() >= set(fromlist or ())
        ):
            if lazy_module.__name__ == "dask":
                _reproduce_dask_side_effects()
            return lazy_module
        return original(name, globals, locals, fromlist, level)

    builtins.__import__ = import_hook
    try:
        yield
    finally:
        if builtins.__import__ is import_hook:
            builtins.__import__ = original
        # Another hook may have wrapped this one meanwhile: without lazy modules it only calls the original.
        while lazy_modules:
            lazy_modules.popitem()[1].forward_everything()


def _lazy_modules() -> dict[str, LazyModule]:
    """The lazy modules by name, with the attributes that Covalent uses during its own import.

    A string in the place of a class is only used in annotations, where `typing.get_type_hints` resolves it.
    """
    return {
        "dask.system": LazyModule("dask.system", system=SimpleNamespace(CPU_COUNT=processors())),
        "networkx": LazyModule("networkx", MultiDiGraph="nx.MultiDiGraph"),
        "psutil": LazyModule("psutil"),
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


def _reproduce_dask_side_effects() -> None:
    """Do what importing Dask does beside, since other code may rely on it."""
    for name in _IMPLICIT_SUBMODULES:
        importlib.import_module(name)
    # Dask does this where tblib is installed: from then on tracebacks, and exceptions with theirs, can be pickled.
    with contextlib.suppress(ImportError):
        importlib.import_module("tblib.pickling_support").install()
