"""Covalent's dispatcher, from within the server's process: what this package has it do.

Of Covalent's private modules `records`, `live` and `large_assets` use some as well; `records.unsupported` is to be
asked first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone

from .records import Dispatch, Node
from .stops import Stop


async def has_counters(dispatch_id: str) -> bool:
    """Whether the dispatcher has its counters of a dispatch. Those of the usual file are of this process.

    Args:
        dispatch_id: The dispatch.
    """
    from covalent_dispatcher._core.dispatcher_modules import caches

    try:
        await caches._workflow_run_cache.get_unresolved(dispatch_id)  # noqa: SLF001
    except IndexError:
        return False
    return True


async def set_counters(
    dispatch_id: str, groups: Mapping[int, list[int]], pending: Mapping[int, int], unresolved: int
) -> None:
    """Set the dispatcher's counters of a dispatch.

    Args:
        dispatch_id: The dispatch.
        groups: Nodes of each task group, parents first.
        pending: Parents of each task group that have not completed, once for each edge.
        unresolved: Nodes that are submitted and have not ended.
    """
    from covalent_dispatcher._core.dispatcher_modules.caches import _task_group_cache, _workflow_run_cache

    for group, nodes in groups.items():
        # Where the user keeps them in a database, those of the earlier server are there.
        await _task_group_cache.remove(dispatch_id, group)
        await _task_group_cache.set(dispatch_id, group, pending[group], nodes)
    await _workflow_run_cache.remove(dispatch_id)
    await _workflow_run_cache.set_unresolved(dispatch_id, unresolved)


async def submit(dispatch_id: str, nodes: list[int], group: int) -> None:
    """Submit a task group to its executor.

    Args:
        dispatch_id: The dispatch.
        nodes: The group's nodes, parents first.
        group: The group.
    """
    from covalent_dispatcher._core import dispatcher

    await dispatcher._submit_task_group(dispatch_id, nodes, group)  # noqa: SLF001


async def finalize(dispatch_id: str) -> None:
    """End a dispatch whose nodes have all ended, or cannot begin, and tell the dispatch that it is a sublattice of.

    Args:
        dispatch_id: The dispatch.
    """
    from covalent_dispatcher._core import data_manager, dispatcher

    await dispatcher._finalize_dispatch(dispatch_id)  # noqa: SLF001
    await data_manager.persist_result(dispatch_id)


async def take_result(dispatch_id: str, node: int) -> None:
    """Make the output of the node that ended it the result of a dispatch, which is then COMPLETED.

    Args:
        dispatch_id: The dispatch.
        node: Its node of post-processing, which is COMPLETED.
    """
    from covalent._shared_files.util_classes import RESULT_STATUS
    from covalent_dispatcher._core.data_modules.utils import run_in_executor
    from covalent_dispatcher._dal.asset import copy_asset_meta
    from covalent_dispatcher._dal.result import get_result_object

    def copy() -> None:
        result = get_result_object(dispatch_id)
        with result.session() as session:
            output = result.lattice.transport_graph.get_node(node, session).get_asset("output", session)
            copy_asset_meta(session, output, result.get_asset("result", session))
        result._update_dispatch(status=RESULT_STATUS.COMPLETED, end_time=datetime.now(timezone.utc))  # noqa: SLF001

    await run_in_executor(copy)


async def begin(dispatch_id: str) -> None:
    """Begin a dispatch that has not run, or of which an earlier server had not submitted anything.

    Args:
        dispatch_id: The dispatch.
    """
    from covalent._shared_files.util_classes import RESULT_STATUS
    from covalent_dispatcher._core import data_manager, dispatcher

    update = data_manager.generate_dispatch_result(dispatch_id, status=RESULT_STATUS.NEW_OBJECT)
    await data_manager.dispatch.update(dispatch_id, update)
    dispatcher.run_dispatch(dispatch_id)


async def tell_parent(dispatch_id: str) -> None:
    """Tell the dispatch that an ended one is a sublattice of that it has ended.

    Covalent writes down first that it has, and then what the parent's electron has of it: until then the electron's
    output is what built the sublattice.

    Args:
        dispatch_id: The dispatch that has ended.
    """
    from covalent_dispatcher._core import data_manager
    from covalent_dispatcher._core.data_modules.utils import run_in_executor
    from covalent_dispatcher._dal.asset import copy_asset_meta
    from covalent_dispatcher._dal.electron import ELECTRON_KEYS, Electron
    from covalent_dispatcher._dal.result import get_result_object

    def copy() -> None:
        result = get_result_object(dispatch_id)
        with result.session() as session:
            found = {"equality_filters": {"id": result._electron_id}, "membership_filters": {}}  # noqa: SLF001
            for record in Electron.get_db_records(session, keys=ELECTRON_KEYS, **found):
                parent = Electron(session, record)
                for ours, theirs in (("result", "output"), ("error", "error")):
                    copy_asset_meta(session, result.get_asset(ours, session), parent.get_asset(theirs, session))

    await run_in_executor(copy)
    await data_manager.persist_result(dispatch_id)


async def detach(dispatch_id: str) -> None:
    """Let a sublattice go that was not built to its end; its node builds another one.

    Args:
        dispatch_id: The sublattice's dispatch.
    """
    from covalent_dispatcher._core.data_modules.utils import run_in_executor
    from covalent_dispatcher._dal.result import Result

    def update() -> None:
        with Result.session() as session:
            filters = {"equality_filters": {"dispatch_id": dispatch_id}, "membership_filters": {}}
            Result.meta_type.update_bulk(session, values={"electron_id": None}, **filters)

    await run_in_executor(update)


async def import_sublattice(dispatch_id: str, node: int) -> str:
    """Make a dispatch of the sublattice that a node has built and returned, and begin it.

    Args:
        dispatch_id: The node's dispatch.
        node: The node.

    Returns:
        The sublattice's dispatch.
    """
    from covalent_dispatcher._core import data_manager, dispatcher

    sub: str = await data_manager._make_sublattice_dispatch(dispatch_id, {"node_id": node})  # noqa: SLF001
    dispatcher.run_dispatch(sub)
    return sub


async def undo_stop(dispatches: list[Dispatch], stop: Stop) -> None:
    """Take back what the end of a server that was stopped did to dispatches: cancellations, and failures by its end.

    What has ended since then is as if it had not: an executor's `run` finds its job. Covalent writes down, too, that a
    task was cancelled which was about to begin, for the first time or again.

    Args:
        dispatches: What `records.family` returned.
        stop: The end of the server.
    """
    from covalent._shared_files.util_classes import Status
    from covalent_dispatcher._core import data_manager
    from covalent_dispatcher._core.data_modules.utils import run_in_executor

    for dispatch in dispatches:
        going_on = [node for node in dispatch.nodes.values() if (dispatch.id, node.id) not in stop.cancelled]
        withdraw_cancellation(going_on)
        cut_off = {
            node.id: "DISPATCHING" if node.sub_dispatch else "RUNNING" if node.has_begun else "NEW_OBJECT"
            for node in going_on
            if _is_cut_off(node, stop)
        }
        await run_in_executor(_set_electrons, dispatch.id, cut_off)
        for node_id in cut_off:
            await data_manager.electron.update(dispatch.id, {"node_id": node_id, "error": ""})
        if _is_cut_off(dispatch, stop):
            again = data_manager.generate_dispatch_result(dispatch.id, status=Status("RUNNING"), error="")
            await data_manager.dispatch.update(dispatch.id, again)


def _is_cut_off(one: Dispatch | Node, stop: Stop) -> bool:
    return one.status in ("FAILED", "CANCELLED") and one.ended_at is not None and one.ended_at >= stop.at


def _set_electrons(dispatch_id: str, statuses: Mapping[int, str]) -> None:
    """Sets states of nodes, also of those that have ended, which Covalent's own functions refuse."""
    from covalent_dispatcher._db.datastore import workflow_db
    from covalent_dispatcher._db.models import Electron, Lattice
    from sqlalchemy import select, update

    with workflow_db.session() as session:
        lattice = select(Lattice.id).where(Lattice.dispatch_id == dispatch_id).scalar_subquery()
        for node, status in statuses.items():
            which = (Electron.parent_lattice_id == lattice, Electron.transport_graph_node_id == node)
            values = {"status": status, "completed_at": None}
            session.execute(
                update(Electron).where(*which).values(**values).execution_options(synchronize_session=False)
            )


def withdraw_cancellation(nodes: Iterable[Node]) -> None:
    """Take back the requests to cancel nodes. Waits for the database.

    Args:
        nodes: The nodes.
    """
    from covalent_dispatcher._db.jobdb import update_job_records

    update_job_records(
        [{"job_id": node.job_record, "cancel_requested": False, "job_status": "NEW_OBJECT"} for node in nodes]
    )


async def end_node(dispatch_id: str, node: int, status: str, error: str) -> None:
    """Write down how a node ended, without going on with its dispatch.

    Args:
        dispatch_id: The dispatch.
        node: The node.
        status: `FAILED` or `CANCELLED`.
        error: What its user reads.
    """
    from covalent._shared_files.util_classes import Status
    from covalent_dispatcher._core import data_manager

    ended = {"node_id": node, "status": Status(status), "error": error, "end_time": datetime.now(timezone.utc)}
    await data_manager.electron.update(dispatch_id, ended)


async def fail(dispatch_id: str, error: str) -> None:
    """Write down that a dispatch is FAILED, and nothing of its nodes.

    Args:
        dispatch_id: The dispatch.
        error: What its user reads in `result.error`.
    """
    from covalent._shared_files.util_classes import RESULT_STATUS
    from covalent_dispatcher._core import data_manager

    update = data_manager.generate_dispatch_result(
        dispatch_id, status=RESULT_STATUS.FAILED, error=error, end_time=datetime.now(timezone.utc)
    )
    await data_manager.dispatch.update(dispatch_id, update)


async def cancel_job(dispatch_id: str, node: int) -> None:
    """Have a node's executor end its job, in the background.

    Args:
        dispatch_id: The dispatch.
        node: The node.
    """
    from covalent_dispatcher._core.runner_modules.cancel import cancel_tasks

    await cancel_tasks(dispatch_id, [node])
