"""Makes a `TransportableObject` of texts from the bucket.

Covalent's server must not fail on a result: one that cannot be stored leaves its electron RUNNING for ever. So it is
created here, of values with exactly the types that Covalent itself writes, and never by unpickling.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_VERSIONS = ("py_version", "cloudpickle_version")
_ATTRIBUTES = ("doc", "name")
_PLAIN = (str, int, float, bool, type(None))


def make(content: Any, text: Any, header: Any) -> Any:
    """Make a result.

    Args:
        content: The pickled value in base64.
        text: The value as `str` shows it.
        header: Versions by name, and `attrs`, a dict with `doc` and `name` of the value.

    Returns:
        A `TransportableObject`.

    Raises:
        ValueError: One of them is not what Covalent writes.
    """
    from covalent._workflow.transport import TransportableObject

    if type(content) is not str or not content or not content.isascii():
        raise ValueError("it holds no pickled value")
    text, header = described(text, header)
    result = TransportableObject.__new__(TransportableObject)
    vars(result).update(_object=content, _object_string=text, _header=header)
    return result


def described(text: Any, header: Any) -> tuple[str, dict[str, Any]]:
    """Text and header of a result, the latter with all that Covalent looks for.

    Args:
        text: As for `make`.
        header: As for `make`.

    Raises:
        ValueError: One of them is not what Covalent writes.
    """
    if type(text) is not str or type(header) is not dict:
        raise ValueError("it is no TransportableObject as Covalent writes it")
    return text, _validated(header)


def _validated(header: Mapping[Any, Any]) -> dict[str, Any]:
    attributes = header.get("attrs", {})
    if type(attributes) is not dict:
        raise ValueError("its header is not one that Covalent writes")
    checked = dict.fromkeys(_VERSIONS, "") | {name: header[name] for name in header if name != "attrs"}
    attributes = dict.fromkeys(_ATTRIBUTES, "") | attributes
    for name, value in [*checked.items(), *attributes.items()]:
        if type(name) is not str or type(value) not in _PLAIN:
            raise ValueError("its header is not one that Covalent writes")
    return {**checked, "attrs": attributes}
