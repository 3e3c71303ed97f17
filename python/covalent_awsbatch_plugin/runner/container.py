"""What makes a container a good place for a task: Covalent imported quickly, and new packages found."""

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

from .deferred import deferred

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType


@contextlib.contextmanager
def quick_covalent() -> Iterator[None]:
    """Have Covalent, if it is imported in this block, imported quickly and with a home that it can write to.

    Covalent imports every executor plugin, which takes a third of its time and is of no use to a task, and much else
    that can wait (see `deferred`); pydantic asks every installed package whether it is a plugin, for the sake of
    Covalent's own models; and the garbage collector looks through what is there to stay. Covalent also creates a
    configuration file, which fails in a container with a read-only home. Everything is afterwards as it was, for the
    function and for the processes that it starts. No code of a task belongs into the block.
    """
    changes = {"COVALENT_PLUGIN_LOAD": "false", "PYDANTIC_DISABLE_PLUGINS": "__all__"}
    changes = {name: value for name, value in changes.items() if name not in os.environ}
    if "covalent" not in sys.modules and not os.access(os.environ.get("HOME", ""), os.W_OK):
        changes["HOME"] = tempfile.mkdtemp(prefix="covalent-")
        atexit.register(shutil.rmtree, changes["HOME"], ignore_errors=True)
    before = {name: os.environ.get(name) for name in changes}
    collecting = gc.isenabled()
    os.environ.update(changes)
    gc.disable()
    try:
        with deferred():
            yield
    finally:
        if collecting:
            gc.enable()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    if "COVALENT_PLUGIN_LOAD" in changes and "covalent.executor" in sys.modules:
        _load_plugins_when_needed(sys.modules["covalent.executor"])


def _load_plugins_when_needed(executors: ModuleType) -> None:
    """A sublattice may name `ct.executor.SomeExecutor` in its body: then the plugins are loaded after all."""
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


class SecondLook:
    """Asked last for a module: looks again without what the import system remembers of directories.

    DepsPip installs packages while the program runs, into directories that may have been listed a moment ago, or did
    not exist then.
    """

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> Any:
        """Find a module that is not part of a package; see `importlib.abc.MetaPathFinder`."""
        if path is not None:
            return None
        importlib.invalidate_caches()
        return importlib.machinery.PathFinder.find_spec(name, path, target)
