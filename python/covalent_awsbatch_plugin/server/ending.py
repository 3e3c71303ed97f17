"""Ends a dispatch that no process goes on with, in the server's process: FAILED, with a sentence that says why.

Covalent alone would say `IndexError: list index out of range`, since its counters ended with the earlier server.
"""

from __future__ import annotations

from . import dispatcher
from .records import Dispatch

_BEGUN = frozenset({"RUNNING", "DISPATCHING"})

REASON = "The Covalent server that ran this ended before it did"


async def end(dispatches: list[Dispatch], error: str) -> None:
    """End a dispatch with its sublattices as FAILED, and the jobs that are known.

    Electrons that had not begun stay so, as in any failed dispatch.

    Args:
        dispatches: What `resume.family` returned.
        error: What its user reads, of the dispatch and of each electron that had begun.
    """
    for dispatch in reversed(dispatches):  # the state of a sublattice's electron has to agree with its dispatch's
        if dispatch.has_ended:
            continue
        begun = [node for node in dispatch.nodes.values() if node.status in _BEGUN]
        for node in begun:
            if node.job_handle:
                await dispatcher.cancel_job(dispatch.id, node.id)
        await dispatcher.fail(dispatch.id, error)
        for node in begun:
            await dispatcher.end_node(dispatch.id, node.id, "FAILED", error)


async def end_tasks(dispatches: list[Dispatch], dispatch_id: str, node_ids: list[int]) -> None:
    """End electrons as CANCELLED whose jobs were terminated, and as FAILED what they are part of.

    Args:
        dispatches: What `resume.family` returned.
        dispatch_id: One of them.
        node_ids: Nodes of it.
    """
    by_id = {dispatch.id: dispatch for dispatch in dispatches}
    error = f"{REASON}, and its job was terminated by `covalent-awsbatch jobs`."
    for node in node_ids:
        await dispatcher.end_node(dispatch_id, node, "CANCELLED", error)
    ended: str | None = dispatch_id
    names = ", ".join(map(str, node_ids))
    while ended is not None:
        dispatch = by_id[ended]
        if not dispatch.has_ended:
            which = f"the job of electron {names}" if ended == dispatch_id else "a job of a sublattice"
            await dispatcher.fail(ended, f"{REASON}, and {which} was terminated by `covalent-awsbatch jobs`.")
        if dispatch.parent is not None:
            (above,) = (one for one in by_id[dispatch.parent].nodes.values() if one.sub_dispatch == ended)
            await dispatcher.end_node(dispatch.parent, above.id, "FAILED", error)
        ended = dispatch.parent
