"""Prepares the container's Python for a task: a fast import of Covalent, and a finder for newly installed packages."""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import importlib.machinery
import os
import shutil
import sys
import tempfile
from typing import TYPE_CHECKING, Any

from .lazy_imports import lazy_imports

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType


@contextlib.contextmanager
def fast_covalent_import() -> Iterator[None]:
    """Speed up the import of Covalent in this block, and give it a writable home.

    Covalent imports every executor plugin, which takes a third of the time and is useless for a task, and packages that
    can be imported later (see `lazy_imports`). Pydantic searches every installed package for plugins. The garbage
    collector scans objects that stay alive. Covalent also creates a configuration file, which fails in a container with
    a read-only home. Afterwards everything is restored, for the function and the processes that it starts. No code of a
    task may run in the block.
    """
    changes = {"COVALENT_PLUGIN_LOAD": "false", "PYDANTIC_DISABLE_PLUGINS": "__all__"}
    changes = {name: value for name, value in changes.items() if name not in os.environ}
    if "covalent" not in sys.modules and not os.access(os.environ.get("HOME", ""), os.W_OK):
        changes["HOME"] = tempfile.mkdtemp(prefix="covalent-")
        atexit.register(shutil.rmtree, changes["HOME"], ignore_errors=True)
    original = {name: os.environ.get(name) for name in changes}
    gc_was_enabled = gc.isenabled()
    os.environ.update(changes)
    gc.disable()
    try:
        with lazy_imports():
            yield
    finally:
        if gc_was_enabled:
            gc.enable()
        for name, value in original.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    if "COVALENT_PLUGIN_LOAD" in changes and "covalent.executor" in sys.modules:
        _load_plugins_when_needed(sys.modules["covalent.executor"])


def _load_plugins_when_needed(executors: ModuleType) -> None:
    """Load the plugins on demand: a sublattice may use `ct.executor.SomeExecutor` in its body."""
    manager = executors._executor_manager  # noqa: SLF001  (Covalent offers no other way)

    def load(name: str) -> Any:
        if not name.startswith("_"):
            vars(executors).pop("__getattr__", None)
            manager.generate_plugins_list()
            for plugin in manager.executor_plugins_map.values():
                setattr(executors, plugin.__name__, plugin)
            return getattr(executors, name)
        raise AttributeError(f"module {executors.__name__!r} has no attribute {name!r}")

    if not manager.executor_plugins_map:
        vars(executors)["__getattr__"] = load


class FreshPathFinder:
    """The last finder on `sys.meta_path`: searches again after invalidating the import caches.

    DepsPip installs packages while the program runs, into directories whose listing may be cached, or that were created
    since.
    """

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> Any:
        """Find a module that is not part of a package; see `importlib.abc.MetaPathFinder`."""
        if path is not None:
            return None
        importlib.invalidate_caches()
        return importlib.machinery.PathFinder.find_spec(name, path, target)
