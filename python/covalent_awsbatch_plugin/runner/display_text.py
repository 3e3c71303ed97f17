"""The text that Covalent keeps beside a result, to display it."""

from __future__ import annotations

from typing import Any

LONGEST_TEXT = 4096
"""Characters of a result's text that are kept."""

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
    if isinstance(text, str) and len(text) > LONGEST_TEXT and not _makes_sublattice(function):
        result._object_string = f"{text[:LONGEST_TEXT]}… ({len(text):,} characters in all)"  # noqa: SLF001


def _makes_sublattice(function: Any) -> bool:
    from covalent._workflow.transportable_object import TransportableObject

    first = next(iter(getattr(function, "args", ())), None)
    if not isinstance(first, TransportableObject):
        return False
    return bool(first.header.get("attrs", {}).get("name") == _SUBLATTICE_BUILDER)
