"""Runs the electrons of a Covalent workflow as AWS Batch jobs."""

from __future__ import annotations

import sys

# Covalent imports this package's executor while it is being imported itself. It has to come first, or a module of this
# package that is a program's first import would meet itself half loaded. Two programs do without: the runner, which
# chooses how Covalent is loaded in the container, and the command line, whose help should be quick.
_DO_WITHOUT = ("covalent_awsbatch_plugin.runner", "covalent-awsbatch")
if not any(argument.endswith(_DO_WITHOUT) for argument in sys.orig_argv):
    import covalent  # noqa: F401


def __getattr__(name: str) -> object:
    """The defaults by the names that version 0.42.0 exported here."""
    if name in ("ExecutorInfraDefaults", "ExecutorPluginDefaults"):
        from . import settings

        return getattr(settings, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
