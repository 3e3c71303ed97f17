"""What Covalent's database and its data directory have of dispatches, read by a command; no server has to run.

By SQL, for reading only: Covalent's own modules would make a database where there is none. Tables and columns are those
of Covalent 0.240 and 0.241 (`covalent_dispatcher/_db/models.py`). Of the files only those are read that hold text.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .records import ENDED

SUBLATTICE = ":sublattice:"
"""What Covalent puts before the name of an electron that builds a sublattice."""

_MOST_BYTES = 1024 * 1024
"""Of a file as much is read, from its end."""

_MOST_CANDIDATES = 20

_PARAMETER = ":parameter:"
_WAITING = "!waiting_edge"


class DatabaseError(Exception):
    """Covalent's database cannot be read; the message says why and what to do."""


@dataclass(frozen=True)
class Electron:
    """A node of a dispatch's graph with what Covalent keeps of it.

    Attributes:
        dispatch_id: Its dispatch.
        node_id: Its number there.
        name: Name of its function.
        status: Such as `RUNNING`.
        executor: Short name of its executor.
        job_id: Its job; empty if its executor named none.
        sub_dispatch: The dispatch of its sublattice; empty if there is none.
        arguments: Name and text of each argument, as Covalent has them: a value, or the node that it comes from.
        files: Where its assets lie, by Covalent's names of them, such as `stdout` and `function_string`.
        started_at: When it began, in seconds since 1970; None if it has not.
        ended_at: When it ended, likewise.
    """

    dispatch_id: str
    node_id: int
    name: str
    status: str
    executor: str = ""
    job_id: str = ""
    sub_dispatch: str = ""
    arguments: tuple[tuple[str, str], ...] = ()
    files: Mapping[str, Path] = field(default_factory=dict)
    started_at: float | None = None
    ended_at: float | None = None

    @property
    def has_ended(self) -> bool:
        """Whether it has ended."""
        return self.status in ENDED

    @property
    def is_function(self) -> bool:
        """Whether it is called, and not a value of the lattice."""
        return not self.name.startswith(_PARAMETER)

    def text(self, asset: str) -> str:
        """The end of a text that Covalent keeps of it; empty if there is none.

        Args:
            asset: `stdout`, `stderr`, `error` or `function_string`.
        """
        return read_text(self.files.get(asset))


@dataclass(frozen=True)
class Dispatch:
    """A dispatch or sublattice.

    Attributes:
        id: Its id.
        name: Name of the lattice.
        status: Such as `RUNNING`.
        electrons: By number.
        error: Where Covalent says why it failed.
        result: Where Covalent keeps its result.
        started_at: When it began, in seconds since 1970; None if it has not.
        ended_at: When it ended, likewise.
    """

    id: str
    name: str
    status: str
    electrons: Mapping[int, Electron]
    error: Path | None = None
    result: Path | None = None
    started_at: float | None = None
    ended_at: float | None = None

    @property
    def has_ended(self) -> bool:
        """Whether it has ended."""
        return self.status in ENDED


def candidates(prefix: str) -> tuple[list[str], list[tuple[str, str, int]]]:
    """Find what begins with a prefix, newest first.

    Args:
        prefix: The beginning of an id.

    Returns:
        Dispatches, and jobs: id, dispatch and node. Some of each, if there are many.

    Raises:
        DatabaseError: There is no database, or it cannot be read.
    """
    with _connection() as ask:
        dispatches = ask(
            "SELECT dispatch_id FROM lattices WHERE substr(dispatch_id, 1, :size) = :prefix"
            " ORDER BY id DESC LIMIT :most",
            prefix=prefix,
        )
        jobs = ask(
            "SELECT j.job_handle, l.dispatch_id, e.transport_graph_node_id FROM jobs j"
            " JOIN electrons e ON e.job_id = j.id JOIN lattices l ON l.id = e.parent_lattice_id"
            " WHERE substr(j.job_handle, 2, :size) = :prefix ORDER BY j.id DESC LIMIT :most",
            prefix=prefix,
        )
        return [row[0] for row in dispatches], [(_handle(row[0]), row[1], row[2]) for row in jobs if _handle(row[0])]


def newest() -> str:
    """The dispatch that was made last, and is no sublattice; empty if there is none.

    Raises:
        DatabaseError: There is no database, or it cannot be read.
    """
    with _connection() as ask:
        rows = ask(
            "SELECT dispatch_id FROM lattices WHERE coalesce(root_dispatch_id, dispatch_id) = dispatch_id"
            " ORDER BY id DESC LIMIT 1"
        )
        return str(rows[0][0]) if rows else ""


def family(dispatch_id: str) -> list[Dispatch]:
    """Read a dispatch and the sublattices below it; those that contain others come first.

    Args:
        dispatch_id: The dispatch.

    Returns:
        Nothing if there is no such dispatch.

    Raises:
        DatabaseError: There is no database, or it cannot be read.
    """
    with _connection() as ask:
        found = _read(ask, dispatch_id)
        for dispatch in found:  # it grows meanwhile
            for electron in dispatch.electrons.values():
                found += _read(ask, electron.sub_dispatch) if electron.sub_dispatch else []
        return found


def dispatches(dispatch_ids: Iterable[str]) -> list[Dispatch]:
    """Read some dispatches or sublattices, without those below them; those that there are not are missing.

    Args:
        dispatch_ids: The dispatches.

    Raises:
        DatabaseError: There is no database, or it cannot be read.
    """
    with _connection() as ask:
        return [dispatch for one in dispatch_ids for dispatch in _read(ask, one)]


def read_text(path: Path | None) -> str:
    """The end of a text file of Covalent's; empty if there is none.

    Args:
        path: The file.
    """
    try:
        if path is None or not path.is_file():
            return ""
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _MOST_BYTES))
            return file.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def _read(ask: Any, dispatch_id: str) -> list[Dispatch]:
    rows = ask(
        "SELECT id, name, status, storage_path, error_filename, started_at, completed_at FROM lattices"
        " WHERE dispatch_id = :one",
        one=dispatch_id,
    )
    if not rows:
        return []
    number, name, status, place, error, began, ended = rows[0]
    nodes = ask(
        "SELECT e.id, e.transport_graph_node_id, e.name, e.status, e.executor, j.job_handle, s.dispatch_id,"
        " e.started_at, e.completed_at"
        " FROM electrons e JOIN jobs j ON j.id = e.job_id LEFT JOIN lattices s ON s.electron_id = e.id"
        " WHERE e.parent_lattice_id = :one ORDER BY e.transport_graph_node_id",
        one=number,
    )
    names = {row[0]: (row[1], row[2]) for row in nodes}
    files: dict[int, dict[str, Path]] = {}
    for electron, key, folder, file in ask(
        "SELECT x.meta_id, x.key, a.storage_path, a.object_key FROM electron_assets x"
        " JOIN assets a ON a.id = x.asset_id JOIN electrons e ON e.id = x.meta_id"
        " WHERE e.parent_lattice_id = :one AND a.storage_type = 'file'",
        one=number,
    ):
        files.setdefault(electron, {})[key] = Path(folder, file)
    arguments: dict[int, list[tuple[str, str]]] = {}
    for electron, parent, edge in ask(
        "SELECT d.electron_id, d.parent_electron_id, d.edge_name FROM electron_dependency d"
        " JOIN electrons e ON e.id = d.electron_id WHERE e.parent_lattice_id = :one"
        " ORDER BY d.parameter_type, d.arg_index, d.id",
        one=number,
    ):
        if edge != _WAITING and parent in names:
            arguments.setdefault(electron, []).append((edge, _value(*names[parent])))
    electrons = {
        node: Electron(
            dispatch_id=dispatch_id,
            node_id=node,
            name=called,
            status=state,
            executor=executor or "",
            job_id=_handle(handle),
            sub_dispatch=sub or "",
            arguments=tuple(arguments.get(electron, ())),
            files=files.get(electron, {}),
            started_at=_seconds(first),
            ended_at=_seconds(last),
        )
        for electron, node, called, state, executor, handle, sub, first, last in nodes
    }
    said = Path(place, error) if place and error else None
    result = next(
        (
            Path(folder, file)
            for folder, file in ask(
                "SELECT a.storage_path, a.object_key FROM lattice_assets x JOIN assets a ON a.id = x.asset_id"
                " WHERE x.meta_id = :one AND x.key = 'result' AND a.storage_type = 'file'",
                one=number,
            )
        ),
        None,
    )
    return [Dispatch(dispatch_id, name, status, electrons, said, result, _seconds(began), _seconds(ended))]


def _value(node: int, name: str) -> str:
    """An argument: Covalent names the node of a value after it."""
    return name.removeprefix(_PARAMETER) if name.startswith(_PARAMETER) else f"{name.removeprefix(SUBLATTICE)}[{node}]"


def _seconds(stored: object) -> float | None:
    """Seconds since 1970 of a time as the database gives it: Covalent stores UTC without saying so."""
    try:
        moment = stored if isinstance(stored, dt.datetime) else dt.datetime.fromisoformat(str(stored))
    except ValueError:  # None, too
        return None
    return moment.replace(tzinfo=moment.tzinfo or dt.timezone.utc).timestamp()


def _handle(stored: str) -> str:
    try:
        handle = json.loads(stored)
    except ValueError:
        return ""
    return handle if isinstance(handle, str) else ""


@contextmanager
def _connection() -> Iterator[Any]:
    """What runs a query and returns its rows."""
    try:
        from sqlalchemy import create_engine, text
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError as error:
        raise DatabaseError(
            "this installation of Covalent has no server: run this where the Covalent server runs"
        ) from error

    def ask(query: str, **values: Any) -> list[Any]:
        if "prefix" in values:
            values |= {"size": len(values["prefix"]), "most": _MOST_CANDIDATES}
        return list(connection.execute(text(query), values))

    try:
        engine = create_engine(_url())
        with engine.connect() as connection:
            yield ask
        engine.dispose()
    except SQLAlchemyError as error:
        why = str(getattr(error, "orig", None) or error).partition("\n")[0]
        raise DatabaseError(
            f"Covalent's database cannot be read ({why}): run this where the Covalent server runs, as its user"
        ) from error


def _url() -> str:
    from covalent._shared_files.config import get_config

    if given := os.environ.get("COVALENT_DATABASE_URL"):
        return given
    path = Path(str(get_config("dispatcher.db_path")))
    if not path.is_file():
        raise DatabaseError(
            f"there is no Covalent database at {path}: run this where the Covalent server runs, as its user"
        )
    return f"sqlite+pysqlite:///file:{quote(str(path))}?mode=ro&uri=true"
