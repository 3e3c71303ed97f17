"""Merges `job_definition_overrides` into a job definition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_NAMES = ("name", "containerPath", "sourceVolume", "type", "consumableResource", "hostPath")
"""Fields that tell an element of a list from the others."""


def merged(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """A definition with changes; a log driver of theirs takes nothing over of the options of ours.

    Args:
        ours: Fields of a structure.
        theirs: Fields that go over them: None takes one away, a dict goes into the dict there, an element of a list
            takes the place of the one of its name or is added, and anything else is put in its place.
    """
    found = dict(ours)
    for name, value in theirs.items():
        if value is None:
            found.pop(name, None)
        elif name == "logConfiguration" and value.get("logDriver", "awslogs") != "awslogs":
            found[name] = value
        else:
            found[name] = _merged_value(found.get(name), value)
    return found


def _merged_value(ours: Any, theirs: Any) -> Any:
    if isinstance(theirs, Mapping):
        return merged(ours if isinstance(ours, Mapping) else {}, theirs)
    if _is_of_structures(theirs) and _is_of_structures(ours):
        return _merged_list(list(ours), list(theirs))
    return theirs


def _is_of_structures(value: Any) -> bool:
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    return is_list and all(isinstance(one, Mapping) for one in value)


def _merged_list(ours: list[Any], theirs: list[Any]) -> list[Any]:
    found = list(ours)
    for number, element in enumerate(theirs):
        key = _key(element)
        # What has no name is the one at its place, such as the only task of `ecsProperties`.
        places = [place for place, one in enumerate(found) if (_key(one) == key if key else place == number)]
        if places:
            found[places[0]] = merged(found[places[0]], element)
        else:
            found.append(merged({}, element))
    return found


def _key(element: Any) -> Any:
    return next(((name, element[name]) for name in _NAMES if name in element), None)
