"""Beginnings of ids that are enough to name them."""

from __future__ import annotations

from collections.abc import Iterable

_SHORTEST = 8
"""Characters: as many as stand before the first hyphen of a UUID."""


def short(ids: Iterable[str]) -> dict[str, str]:
    """The beginning of each id by which it is told from the others.

    Args:
        ids: Dispatches and jobs.

    Returns:
        By id its first eight characters, or as many as it takes.
    """
    ordered = sorted(set(ids))
    found = {}
    for number, one in enumerate(ordered):
        beside = ordered[max(0, number - 1) : number] + ordered[number + 1 : number + 2]
        size = max([_SHORTEST, *(_common(one, other) + 1 for other in beside)])
        found[one] = one[:size]
    return found


def _common(one: str, other: str) -> int:
    """How many characters two ids begin with in common."""
    for number, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return number
    return min(len(one), len(other))
