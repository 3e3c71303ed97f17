"""The nodes that Covalent adds to a graph of its own accord, whose results need no job.

A list, tuple, set or dict of electrons, `x[0]`, `a, b = f()` and what puts a lattice's result together. Their results
are made here from the pickled bytes of the nodes before them: nothing is unpickled. What is not certain takes a job.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from covalent_awsbatch_plugin import submodules

if TYPE_CHECKING:
    from . import inheritance, values

__getattr__ = submodules.on_demand(__name__)
