"""Goes on with a dispatch that an earlier server began, in the process of the server that follows it.

Covalent's dispatcher keeps two counters: of parents that a task group waits for, and of nodes that have not ended. They
end with the server. Here they are set anew from the database, and what is ready and has not ended is submitted. A task
with a job finds it in `handles`, so that nothing is submitted twice. Electrons that ran in the server run again.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter

from . import dispatcher, handles, presence, records, shutdown, stops
from .records import Dispatch, Node

OWN = "awsbatch"
"""Covalent's short name of this executor."""

_taken_up: set[str] = set()
"""Dispatches that this process goes on with, and those of their sublattices."""

_submitting: set[asyncio.Future[None]] = set()

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """How a dispatch goes on.

    Attributes:
        groups: Nodes of each task group, parents first.
        pending: Parents that each group waits for, once for each edge.
        ready: Groups that wait for none and have not ended.
    """

    groups: Mapping[int, list[int]]
    pending: Mapping[int, int]
    ready: tuple[int, ...]


def plan(dispatch: Dispatch) -> Plan:
    """How a dispatch goes on.

    Args:
        dispatch: As the database has it.
    """
    nodes = dispatch.nodes
    parents: dict[int, list[int]] = {node: [] for node in sorted(nodes)}
    pending = dict.fromkeys((node.group for node in nodes.values()), 0)
    for parent, child in dispatch.edges:
        parents[child].append(parent)
        if nodes[parent].group != nodes[child].group and nodes[parent].status != "COMPLETED":
            pending[nodes[child].group] += 1
    groups: dict[int, list[int]] = {}
    for node in TopologicalSorter(parents).static_order():
        groups.setdefault(nodes[node].group, []).append(node)
    ready = (
        group
        for group, members in groups.items()
        if not pending[group] and not all(nodes[node].has_ended for node in members)
    )
    return Plan(groups, pending, tuple(ready))


async def is_alive(dispatches: list[Dispatch]) -> bool:
    """Whether a process goes on with a dispatch.

    Args:
        dispatches: What `records.family` returned.
    """
    ids = {dispatch.id for dispatch in dispatches}
    if ids & _taken_up or ids & presence.waiting().living:
        return True
    if dispatches[0].begun_at >= presence.BEGAN:
        return True
    # Where the user keeps them in a database, the counters of an earlier server are there.
    return "COVALENT_CACHE_DB_URL" not in os.environ and await dispatcher.has_counters(dispatches[0].id)


async def take_up(dispatches: list[Dispatch]) -> None:
    """Go on with a dispatch that no process goes on with. It is submitted in the background, a group after the other.

    That takes a tenth of a second for each group and more, which is too long for a command that waits.

    Args:
        dispatches: What `records.family` returned.
    """
    root = dispatches[0].id
    if stop := stops.read(root):
        await dispatcher.undo_stop(dispatches, stop)
        dispatches = await records.family(root)
    shutdown.note_resumed(dispatches)
    _taken_up.update(dispatch.id for dispatch in dispatches)
    for dispatch in dispatches:
        presence.note(dispatch.id)
    stops.forget(root)
    task = asyncio.ensure_future(_submit(dispatches))
    _submitting.add(task)  # asyncio itself keeps no hold on it
    task.add_done_callback(_submitting.discard)


async def _submit(dispatches: list[Dispatch]) -> None:
    root = dispatches[0]
    try:
        await _go_on(root, {dispatch.id: dispatch for dispatch in dispatches})
    except Exception:  # noqa: BLE001
        _log.exception("Dispatch %s goes on in part only: start the server again, and resume it", root.id)


async def _go_on(dispatch: Dispatch, by_id: Mapping[str, Dispatch]) -> None:
    if dispatch.status == "STARTING":
        await dispatcher.begin(dispatch.id)
        return
    way = plan(dispatch)
    ready = {group: [dispatch.nodes[node] for node in way.groups[group]] for group in way.ready}
    for node in (node for nodes in ready.values() for node in nodes if node.status == "RUNNING"):
        handles.expect(dispatch.id, node.id, str(node.job_handle or ""))
    unresolved = sum(not node.has_ended for nodes in ready.values() for node in nodes)
    await dispatcher.set_counters(dispatch.id, way.groups, way.pending, unresolved)
    if not ready:
        await _end(dispatch)
    for group, nodes in ready.items():
        for node in nodes:
            if node.status == "RUNNING" and node.sub_dispatch:
                await dispatcher.detach(node.sub_dispatch)
        built = [node for node in nodes if node.status == "DISPATCHING"]
        for node in built:
            await _go_on_below(dispatch, node, by_id)
        if not built:
            await dispatcher.submit(dispatch.id, way.groups[group], group)


async def _end(dispatch: Dispatch) -> None:
    """End a dispatch whose electrons had all ended, and only its own end was not written down."""
    nodes = dispatch.nodes.values()
    results = [node.id for node in nodes if node.is_postprocessing and node.status == "COMPLETED"]
    for node in results:
        await dispatcher.take_result(dispatch.id, node)
    await dispatcher.finalize(dispatch.id)


async def _go_on_below(dispatch: Dispatch, node: Node, by_id: Mapping[str, Dispatch]) -> None:
    """Go on with a sublattice that was built."""
    sub = by_id.get(node.sub_dispatch or "")
    if sub is not None and sub.status == "NEW_OBJECT" and node.executor == OWN:
        # The server may have ended while it unpacked it.
        await dispatcher.detach(sub.id)
        sub = None
    if sub is None:
        _taken_up.add(await dispatcher.import_sublattice(dispatch.id, node.id))
    elif sub.has_ended:
        await dispatcher.tell_parent(sub.id)
    elif sub.status == "NEW_OBJECT":
        await dispatcher.begin(sub.id)
    else:
        await _go_on(sub, by_id)
