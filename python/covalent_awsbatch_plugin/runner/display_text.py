"""What of the text that Covalent keeps beside a result leaves the container."""

from __future__ import annotations

from typing import Any

from covalent_awsbatch_plugin.agreement.display_text import shortened

_SUBLATTICE_BUILDER = "_build_sublattice_graph"


def shorten(result: Any, function: Any) -> None:
    """Cut the text of a result to its beginning.

    Covalent stores `str(value)` beside each value. That of a list of floats is longer than its pickle, and only
    displays use it. The exception is the graph of a sublattice: Covalent reads it from the text
    (`covalent_dispatcher/_core/data_manager.py`, version 0.240), so that text stays whole.

    Args:
        result: The `TransportableObject` that the function returned.
        function: The task's function: under Covalent a partial of its wrapper, whose first argument is the electron's.
    """
    text = vars(result).get("_object_string")
    if isinstance(text, str) and not _makes_sublattice(function):
        result._object_string = shortened(text)  # noqa: SLF001


def _makes_sublattice(function: Any) -> bool:
    from covalent._workflow.transportable_object import TransportableObject

    first = next(iter(getattr(function, "args", ())), None)
    if not isinstance(first, TransportableObject):
        return False
    return bool(first.header.get("attrs", {}).get("name") == _SUBLATTICE_BUILDER)
