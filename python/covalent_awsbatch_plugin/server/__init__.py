"""Covalent's side: how it loads the executor, requests to the dispatcher, and which process still waits for a job.

Uses `agreement`, `errors` and the core.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from covalent_awsbatch_plugin import submodules

if TYPE_CHECKING:
    from . import handles, presence, shutdown

__getattr__ = submodules.on_demand(__name__)
