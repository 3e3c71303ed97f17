"""Imports the modules of a folder when they are first used.

Every program that imports Covalent imports `awsbatch` with it, and most of them only make executors: what runs a task
is imported by the first one, in the server.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def on_demand(package: str) -> Callable[[str], Any]:
    """The `__getattr__` of a package whose modules are imported when they are asked for.

    Args:
        package: The package's `__name__`.
    """

    def module(name: str) -> Any:
        full = f"{package}.{name}"
        try:
            return import_module(full)
        except ModuleNotFoundError as error:
            if error.name != full:
                raise
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return module
