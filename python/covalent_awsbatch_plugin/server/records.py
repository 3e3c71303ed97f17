"""What Covalent's database has of dispatches, read in the server's process.

By its tables: `electron.get_bulk` and `to_job_ids` do not keep the order of what they are asked for. Of Covalent's
private modules `dispatcher`, `live` and `large_assets` use some as well; `unsupported` is to be asked first.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from packaging.version import Version

VERSIONS = ("0.240", "0.241")
"""Versions of Covalent whose private modules are known."""

ENDED = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
"""States of a dispatch or electron that do not change any more."""


@dataclass(frozen=True)
class Node:
    """A node of a dispatch's graph, as the database has it.

    Attributes:
        id: Its number.
        group: Its task group, which is submitted as one.
        status: Such as `RUNNING`.
        executor: Short name of its executor.
        is_sublattice: Whether it builds a sublattice.
        is_postprocessing: Whether its output is the dispatch's result.
        job_handle: What the executor told Covalent about its job; None for nothing.
        job_record: Its row in Covalent's table of jobs.
        is_cancel_requested: Whether somebody asked for its cancellation.
        is_cancel_accepted: Whether the executor took a request to cancel it.
        has_begun: Whether it was submitted to its executor.
        ended_at: When it ended, if it did.
        sub_dispatch: The dispatch of its sublattice, if there is one.
    """

    id: int
    group: int
    status: str
    executor: str = ""
    is_sublattice: bool = False
    is_postprocessing: bool = False
    job_handle: Any = None
    job_record: int = 0
    is_cancel_requested: bool = False
    is_cancel_accepted: bool = False
    has_begun: bool = False
    ended_at: datetime | None = None
    sub_dispatch: str | None = None

    @property
    def has_ended(self) -> bool:
        """Whether it has ended."""
        return self.status in ENDED


@dataclass(frozen=True)
class Dispatch:
    """A dispatch, as the database has it.

    Attributes:
        id: Its id.
        status: Such as `RUNNING`.
        begun_at: When it began to run, or was last changed where it has not.
        ended_at: When it ended, if it did.
        parent: The dispatch of which it is a sublattice, if it is one.
        nodes: By number.
        edges: Parent and child, once for each argument.
    """

    id: str
    status: str
    begun_at: datetime
    ended_at: datetime | None
    parent: str | None
    nodes: Mapping[int, Node]
    edges: tuple[tuple[int, int], ...]

    @property
    def has_ended(self) -> bool:
        """Whether it has ended."""
        return self.status in ENDED


def unsupported() -> str:
    """Why a dispatch cannot be resumed or ended with the installed Covalent, as a sentence; empty if it can."""
    version = Version(importlib.metadata.version("covalent"))
    if f"{version.major}.{version.minor}" in VERSIONS:
        return ""
    return (
        f"The server runs Covalent {version}, and a dispatch is resumed with {' and '.join(VERSIONS)} only: install "
        "one of these, start the server again, and repeat the command."
    )


async def family(dispatch_id: str) -> list[Dispatch]:
    """Read the dispatch of which another one is a part, and all its sublattices; those that contain others come first.

    Args:
        dispatch_id: Any of them.

    Returns:
        Nothing if there is no such dispatch.
    """
    from covalent_dispatcher._core.data_modules.utils import run_in_executor

    found: list[Dispatch] = await run_in_executor(family_now, dispatch_id)
    return found


def family_now(dispatch_id: str) -> list[Dispatch]:
    """The same as `family`, waiting for the database.

    Args:
        dispatch_id: Any of them.
    """
    root = _read(dispatch_id)
    while root is not None and root.parent is not None:
        root = _read(root.parent)
    found = [] if root is None else [root]
    for dispatch in found:  # it grows meanwhile
        below = [_read(node.sub_dispatch) for node in dispatch.nodes.values() if node.sub_dispatch]
        found.extend(sub for sub in below if sub is not None)
    return found


def ended_now(dispatch_ids: Iterable[str]) -> list[str]:
    """Those of some dispatches that have ended. Waits for the database.

    Args:
        dispatch_ids: The dispatches.
    """
    from covalent_dispatcher._db.datastore import workflow_db
    from covalent_dispatcher._db.models import Lattice
    from sqlalchemy import select

    chosen = Lattice.dispatch_id.in_(list(dispatch_ids)), Lattice.status.in_(ENDED)
    with workflow_db.session() as session:
        return list(session.scalars(select(Lattice.dispatch_id).where(*chosen)))


def _read(dispatch_id: str) -> Dispatch | None:
    from covalent._shared_files.defaults import postprocess_prefix
    from covalent_dispatcher._db.datastore import workflow_db
    from covalent_dispatcher._db.models import Electron, ElectronDependency, Job, Lattice
    from sqlalchemy import select
    from sqlalchemy.orm import aliased

    parent, sub = aliased(Lattice), aliased(Lattice)
    with workflow_db.session() as session:
        lattice = session.scalars(select(Lattice).where(Lattice.dispatch_id == dispatch_id)).first()
        if lattice is None:
            return None
        parents = select(parent.dispatch_id).join(Electron, Electron.parent_lattice_id == parent.id)
        rows = (
            select(Electron, Job, sub.dispatch_id)
            .join(Job, Job.id == Electron.job_id)
            .outerjoin(sub, sub.electron_id == Electron.id)
            .where(Electron.parent_lattice_id == lattice.id)
        )
        nodes, numbers = {}, {}
        for electron, job, sub_dispatch in session.execute(rows):
            numbers[electron.id] = electron.transport_graph_node_id
            nodes[electron.transport_graph_node_id] = Node(
                id=electron.transport_graph_node_id,
                group=electron.task_group_id,
                status=electron.status,
                executor=electron.executor or "",
                is_sublattice=electron.type == "sublattice",
                is_postprocessing=electron.name.startswith(postprocess_prefix),
                job_handle=json.loads(job.job_handle),
                job_record=job.id,
                is_cancel_requested=bool(job.cancel_requested),
                is_cancel_accepted=job.status == "CANCELLED",
                has_begun=electron.started_at is not None,
                ended_at=_utc(electron.completed_at),
                sub_dispatch=sub_dispatch,
            )
        edges = (
            select(ElectronDependency)
            .join(Electron, Electron.id == ElectronDependency.electron_id)
            .where(Electron.parent_lattice_id == lattice.id)
        )
        return Dispatch(
            id=dispatch_id,
            status=lattice.status,
            begun_at=_utc(lattice.started_at) or lattice.updated_at.replace(tzinfo=timezone.utc),
            ended_at=_utc(lattice.completed_at),
            parent=session.scalars(parents.where(Electron.id == lattice.electron_id)).first(),
            nodes=nodes,
            edges=tuple(
                (numbers[edge.parent_electron_id], numbers[edge.electron_id]) for edge in session.scalars(edges)
            ),
        )


def _utc(moment: datetime | None) -> datetime | None:
    """What the database has without a time zone."""
    return None if moment is None else moment.replace(tzinfo=timezone.utc)
