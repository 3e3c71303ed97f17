"""One task on the server's side: its call is uploaded, its job submitted and watched, its result retrieved.

Uses `environment`, `options`, `agreement` and the core.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from covalent_awsbatch_plugin import submodules

if TYPE_CHECKING:
    from . import (
        cancellation,
        connection,
        guard,
        job_request,
        live,
        outcome,
        own_nodes,
        queue_platform,
        resubmission,
        result,
        subclasses,
        submission,
        takeover,
        transfer,
    )

__getattr__ = submodules.on_demand(__name__)
