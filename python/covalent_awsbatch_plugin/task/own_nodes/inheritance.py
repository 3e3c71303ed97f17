"""Gives a list or dict that takes a job the packages of the electrons around it, which its items need to be loaded.

Covalent gives such a node its electron's executor and none of its dependencies. Which they are stands in the server's
database alone, that is behind private modules of Covalent's; where those differ, the node has no packages, as before.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Mapping
from typing import Any, cast

from covalent_awsbatch_plugin.printable import one_line

# The server has them loaded; elsewhere nobody knows the graph, and loading them would open a database.
_GRAPH = "covalent_dispatcher._core.data_modules.graph"
_ELECTRONS = "covalent_dispatcher._core.data_modules.electron"
_COLLECTIONS = (":electron_list:", ":electron_dict:")  # how Covalent names such nodes in a graph
_POSTPROCESSING = ":postprocess:"  # it waits for every node
_FUNCTIONS = ("_auto_list_node", "_auto_dict_node")
_MOST_NODES = 1000  # around a collection, and around collections in it
_SHOWN_CHARS = 300
_log = logging.getLogger(__name__)


async def with_packages(function: Any, task_metadata: Mapping[str, Any]) -> Any:
    """The function of a collection with the `DepsPip` of the electrons around it; any other one as it is.

    Args:
        function: As Covalent hands it to an executor: a partial of its wrapper.
        task_metadata: `dispatch_id` and `node_id`.
    """
    if not _may_be_collection(function) or any(name not in sys.modules for name in (_GRAPH, _ELECTRONS)):
        return function
    try:
        found = await _packages(task_metadata["dispatch_id"], task_metadata["node_id"])
    except Exception as error:  # noqa: BLE001  (another version of Covalent)
        why = one_line(repr(error), _SHOWN_CHARS)
        _log.warning("Which packages the electrons around a list or a dict need could not be looked up: %s", why)
        return function
    return functools.partial(function.func, function.args[0], found, function.args[2])


def _may_be_collection(function: Any) -> bool:
    """Whether it is named like one and has no dependencies; whether it is one is what the graph says."""
    if not isinstance(function, functools.partial) or len(function.args) != 3 or any(function.args[1:]):
        return False
    attributes = getattr(function.args[0], "attrs", {})
    return isinstance(attributes, Mapping) and attributes.get("name") in _FUNCTIONS


async def _packages(dispatch_id: str, node_id: int) -> list[Any]:
    """What is to be called before: the `DepsPip` of the electrons that use a collection and of those that fill it."""
    from covalent._workflow.depspip import DepsPip

    graph, electrons = cast("Any", sys.modules[_GRAPH]), cast("Any", sys.modules[_ELECTRONS])
    found: list[Any] = []
    seen, waiting = {node_id}, [node_id]
    while waiting and len(seen) < _MOST_NODES:
        number = waiting.pop()
        node = await electrons.get(dispatch_id, number, ["name", "hooks"])
        if node["name"].startswith(_COLLECTIONS):
            around = [edge["source"] for edge in await graph.get_incoming_edges(dispatch_id, number)]
            users = await graph.get_node_successors(dispatch_id, number, ["name"])
            around += [user["node_id"] for user in users if not user["name"].startswith(_POSTPROCESSING)]
            waiting += sorted(set(around) - seen)
            seen |= set(around)
        elif (packages := (node["hooks"] or {}).get("deps", {}).get("pip")) and packages not in found:
            found.append(packages)
    return [DepsPip().from_dict(one).apply() for one in found]
