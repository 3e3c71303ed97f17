"""Runs the electrons of a Covalent workflow as AWS Batch jobs.

Covalent imports `awsbatch` while it is being imported itself. So that any module of this package can be a program's
first import, those that `awsbatch` needs name each other's contents through the module (`errors.ResultError`) or import
Covalent where they use it, and none of it happens here.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .awsbatch import AWSBatchExecutor
    from .deploy.infra import ExecutorInfraDefaults
    from .deploy.plugin_defaults import ExecutorPluginDefaults
    from .show.explanation import explain
    from .show.watching.session import watch

__all__ = ["AWSBatchExecutor", "ExecutorInfraDefaults", "ExecutorPluginDefaults", "explain", "watch"]

# Those of the defaults are the names that version 0.42.0 exported here.
_MODULES = {
    "AWSBatchExecutor": "awsbatch",
    "explain": "show.explanation",
    "watch": "show.watching.session",
    "ExecutorInfraDefaults": "deploy.infra",
    "ExecutorPluginDefaults": "deploy.plugin_defaults",
}


def __getattr__(name: str) -> object:
    """What the package exports, imported when it is asked for."""
    if name in _MODULES:
        return getattr(import_module(f".{_MODULES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
