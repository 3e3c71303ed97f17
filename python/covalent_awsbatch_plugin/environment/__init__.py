"""The environment of a job in an image that has nothing but Python: packed once, found by content, fetched by each job.

Uses `options`, `errors` and the core. `bootstrap` runs in the job's container and uses nothing of this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from covalent_awsbatch_plugin import submodules

if TYPE_CHECKING:
    from . import prepare, requested

__getattr__ = submodules.on_demand(__name__)
