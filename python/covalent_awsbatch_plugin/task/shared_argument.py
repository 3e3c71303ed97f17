"""An argument whose content is in the bucket."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from covalent._workflow.transport import TransportableObject

from covalent_awsbatch_plugin.agreement.references import Reference


class SharedArgument(TransportableObject):  # type: ignore[misc]  # covalent ships no types
    """A `TransportableObject` that knows where its content is. Whoever pickles it gets a plain one.

    Args:
        value: The argument.
        reference: Its content in the bucket.
    """

    __slots__ = ("reference",)  # not in the dict, so no part of the value

    def __init__(self, value: TransportableObject, reference: Reference) -> None:
        self.__dict__.update(vars(value))
        self.reference = reference

    def __reduce__(self) -> Any:
        return object.__new__, (TransportableObject,), self.__dict__.copy()


def numbered(args: Iterable[Any], kwargs: Mapping[str, Any]) -> dict[Reference, int]:
    """The contents that a call refers to, each with its place in the list of them.

    Args:
        args: Positional arguments.
        kwargs: Keyword arguments.
    """
    found = (one.reference for one in (*args, *kwargs.values()) if type(one) is SharedArgument)
    return {reference: number for number, reference in enumerate(dict.fromkeys(found))}
