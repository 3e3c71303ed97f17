"""An argument whose content is in the bucket."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from covalent._workflow.transport import TransportableObject

from covalent_awsbatch_plugin.agreement.references import Reference
from covalent_awsbatch_plugin.server import stored_object


class SharedArgument(TransportableObject):  # type: ignore[misc]  # covalent ships no types
    """A `TransportableObject` that knows where its content is. Whoever pickles it gets a plain one.

    Args:
        value: The argument.
        reference: Its content in the bucket.
    """

    __slots__ = ("_stored", "reference")  # not in the dict, so no part of the value

    def __init__(self, value: TransportableObject, reference: Reference) -> None:
        self.__dict__.update(vars(value))
        self._stored = value if type(value) is stored_object.StoredObject else None
        self.reference = reference

    def get_serialized(self) -> str:
        """As Covalent's."""
        return str(super().get_serialized() if self._stored is None else self._stored.get_serialized())

    def __reduce__(self) -> Any:
        return self.reduced(_object=self.get_serialized())

    def reduced(self, **state: Any) -> Any:
        """What is pickled, with some of its state in place of its own."""
        return object.__new__, (TransportableObject,), {**self.__dict__, **state}


def numbered(args: Iterable[Any], kwargs: Mapping[str, Any]) -> dict[Reference, int]:
    """The contents that a call refers to, each with its place in the list of them.

    Args:
        args: Positional arguments.
        kwargs: Keyword arguments.
    """
    found = (one.reference for one in (*args, *kwargs.values()) if type(one) is SharedArgument)
    return {reference: number for number, reference in enumerate(dict.fromkeys(found))}
