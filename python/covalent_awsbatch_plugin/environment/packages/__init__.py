"""What the function of a job needs besides: packages from an index, as objects beside those of the runner.

`wanted` says what a task asks for, `locked` which wheels that is, `layers` makes objects of them, and `make` does all
of it, once. Uses `options`, `errors` and the core; nothing of the user's is run, and nothing is installed here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from covalent_awsbatch_plugin import submodules

if TYPE_CHECKING:
    from . import make

__getattr__ = submodules.on_demand(__name__)
