"""Runs the electrons of a Covalent workflow as AWS Batch jobs.

Covalent imports `awsbatch` while it is being imported itself. So that any module of this package can be a program's
first import, those that `awsbatch` needs name each other's contents through the module (`errors.ResultError`) or import
Covalent where they use it, and none of it happens here.
"""

from __future__ import annotations


def __getattr__(name: str) -> object:
    """The defaults by the names that version 0.42.0 exported here."""
    if name in {"ExecutorInfraDefaults", "ExecutorPluginDefaults"}:
        from . import infra, settings

        return getattr(infra if name == "ExecutorInfraDefaults" else settings, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
