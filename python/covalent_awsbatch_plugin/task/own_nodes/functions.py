"""Covalent's functions for its own nodes, in the places where Covalent has them.

Their pickles are compared with Covalent's, and have the code, the qualified name and the flags of the module that they
were compiled in: hence the class, the nesting, and no import from `__future__`.
"""

from collections.abc import Callable
from typing import Any


class Electron:
    """As `covalent._workflow.electron.Electron` of version 0.240."""

    def connect_node_with_others(self) -> tuple[Callable[..., Any], ...]:
        """Those that make lists and dicts."""

        def _auto_list_node(*args, **kwargs):  # type: ignore[no-untyped-def]  # noqa: ANN002, ANN003, ANN202, ARG001
            return list(args)

        def _auto_dict_node(keys, values):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            return {keys[i]: values[i] for i in range(len(keys))}

        return _auto_list_node, _auto_dict_node

    def __iter__(self) -> Any:
        """The one that unpacks."""

        def get_item(e, key):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            return e[key]

        return get_item

    def __getitem__(self, _key: Any) -> Callable[..., Any]:
        """The one that subscripts."""

        def get_item(e, key):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            return e[key]

        return get_item
