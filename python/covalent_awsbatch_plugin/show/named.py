"""What a command was asked about: the dispatch or job that a word names, by its id or the beginning of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.errors import AWSBatchError
from covalent_awsbatch_plugin.server import database, orphans
from covalent_awsbatch_plugin.server.database import DatabaseError, Dispatch, Electron

OWN = "awsbatch"
"""Short name of the executor."""

NEWEST = "newest"
"""The word for the newest dispatch of Covalent's database; no id begins so."""

_MOST_LABELS = 10
"""Of the electrons that are named in place of one that there is not."""

_WITH_JOB = frozenset({"RUNNING", "FAILED", "CANCELLED"})
"""States of an electron that may have a job although it named none: a server that was killed could not tell."""


class UnknownError(LookupError):
    """Nothing has that name, or several have; the message says what to type."""


@dataclass(frozen=True)
class Task:
    """An electron and its job.

    Attributes:
        electron: The electron; what of it is not known is empty.
        label: How it is called in output: `train[3]`, within a sublattice `outer[2]/train[3]`.
        job_id: Its newest job; empty if none is known.
    """

    electron: Electron
    label: str
    job_id: str = ""


@dataclass(frozen=True)
class Named:
    """What a word names.

    Attributes:
        dispatch_id: The dispatch.
        node_id: The node of its job, if it names a job.
        family: The dispatch and its sublattices; nothing where Covalent's database does not have it.
        jobs: Its jobs as AWS lists them, where the database does not have it.
        problem: Why the database could not be read; empty if it was.
    """

    dispatch_id: str
    node_id: int | None = None
    family: tuple[Dispatch, ...] = ()
    jobs: tuple[orphans.Job, ...] = ()
    problem: str = ""


def find(word: str, connection: Client | None, queues: Sequence[str]) -> Named:
    """Find what a word names: in Covalent's database, else among the jobs of queues.

    Args:
        word: Id of a dispatch or a job, or its beginning, or `NEWEST`.
        connection: By which AWS is asked; None not to ask it.
        queues: Whose jobs are looked through.

    Raises:
        UnknownError: Nothing has that name, or several have.
        DatabaseError: Covalent's database cannot be read, and AWS is not to be asked.
        AWSBatchError: AWS did not answer.
    """
    if word == NEWEST:
        word = _newest()
    problem = ""
    try:
        dispatches, jobs = database.candidates(word)
        if dispatches or jobs:
            dispatch_id, node_id = _only(word, dispatches, jobs)
            return Named(dispatch_id, node_id, tuple(database.family(dispatch_id)))
    except DatabaseError as error:
        if connection is None:
            raise
        problem = str(error)
    listed = [] if connection is None else _listed(connection, queues)
    of_dispatch = [job for job in listed if job.dispatch_id.startswith(word)]
    of_job = [(job.id, job.dispatch_id, job.node_id) for job in listed if job.id.startswith(word)]
    dispatch_id, node_id = _only(word, dict.fromkeys(job.dispatch_id for job in of_dispatch), of_job, problem)
    family: tuple[Dispatch, ...] = ()
    if not problem:
        # Of several jobs of a task Covalent has the newest one alone.
        with suppress(DatabaseError):
            family = tuple(database.family(dispatch_id))
    return Named(
        dispatch_id, node_id, family, tuple(job for job in listed if job.dispatch_id == dispatch_id), problem=problem
    )


def _listed(connection: Client, queues: Sequence[str], dispatch_id: str = "") -> list[orphans.Job]:
    """The executor's jobs of queues, oldest first."""
    jobs = [job for queue in queues for job in orphans.list_jobs(connection, queue, dispatch_id)]
    return sorted(jobs, key=lambda job: job.created_at)


def _newest() -> str:
    try:
        found = database.newest()
    except DatabaseError as error:
        raise UnknownError(f"Which dispatch? Type the beginning of its id. {error}.") from error
    if not found:
        raise UnknownError("Covalent's database here has no dispatch yet.")
    return found


def _only(
    word: str, dispatches: Iterable[str], jobs: Iterable[tuple[str, str, int]], problem: str = ""
) -> tuple[str, int | None]:
    """The dispatch that is meant, and the node, if a job is."""
    found: dict[str, tuple[str, int | None]] = {one: (one, None) for one in dispatches}
    found |= {job_id: (dispatch_id, node_id) for job_id, dispatch_id, node_id in jobs}
    if word in found:
        return found[word]
    if not found:
        why = f"; {problem}" if problem else ": `covalent-awsbatch jobs --all` shows those of the queue"
        raise UnknownError(f"No dispatch and no job begins with {word!r}{why}.")
    if len(found) > 1:
        kinds = [f"{'dispatch' if node is None else 'job'} {one}" for one, (_, node) in found.items()]
        raise UnknownError(f"{word!r} is the beginning of several; type more of it:\n" + "\n".join(kinds))
    return next(iter(found.values()))


def tasks(named: Named, connection: Client, queues: Sequence[str], node_id: int | None = None) -> list[Task]:
    """The electrons of what is named, with their jobs, in the order of the graph.

    Args:
        named: What `find` returned.
        connection: By which the job of an electron is looked for that has named none.
        queues: Whose jobs are looked through.
        node_id: A node of the dispatch, with what is below it; None for that of the job, or all.

    Raises:
        UnknownError: There is no such node.
        AWSBatchError: AWS did not answer.
    """
    found = known_tasks(named, node_id)
    without = {
        task.electron.dispatch_id
        for task in found
        if not task.job_id and task.electron.executor == OWN and task.electron.status in _WITH_JOB
    }
    jobs = {(job.dispatch_id, job.node_id): job.id for one in without for job in _listed(connection, queues, one)}
    return [
        task if task.job_id else replace(task, job_id=jobs.get((task.electron.dispatch_id, task.electron.node_id), ""))
        for task in found
    ]


def known_tasks(named: Named, node_id: int | None = None) -> list[Task]:
    """The same without asking AWS: an electron that has named no job has none.

    Args:
        named: What `find` returned.
        node_id: As for `tasks`.

    Raises:
        UnknownError: There is no such node.
    """
    wanted = named.node_id if node_id is None else node_id
    if named.family:
        found = _of_family(named.family, wanted)
    else:
        newest = {job.node_id: job for job in named.jobs if wanted in (None, job.node_id)}
        found = [
            Task(Electron(job.dispatch_id, node, "node", job.status, OWN, job.id), f"node[{node}]", job.id)
            for node, job in sorted(newest.items())
        ]
    if not found and wanted is not None:
        labels = [task.label for task in known_tasks(replace(named, node_id=None)) if not task.label.startswith(":")]
        hint = f"; it has {', '.join(labels[:_MOST_LABELS])}" if labels else ""
        hint += f" and {len(labels) - _MOST_LABELS} more" * (len(labels) > _MOST_LABELS)
        raise UnknownError(f"Dispatch {named.dispatch_id} has no electron {wanted}{hint}.")
    return found


def tasks_that_are_known(named: Named, connection: Client, queues: Sequence[str]) -> tuple[list[Task], list[str]]:
    """The same with what AWS tells, or without if it does not answer.

    Args:
        named: What `find` returned.
        connection: Connection to use.
        queues: Where jobs are looked for.

    Returns:
        The tasks, and a sentence on each thing that could not be found out.

    Raises:
        UnknownError: As `tasks`.
    """
    problems = [f"Only what AWS tells is known: {named.problem}."] if named.problem else []
    try:
        return tasks(named, connection, queues), problems
    except AWSBatchError as error:
        return known_tasks(named), [*problems, error.message]


def _of_family(family: Iterable[Dispatch], wanted: int | None) -> list[Task]:
    """The electrons that are called, those of a sublattice after the one that builds it."""
    by_id = {dispatch.id: dispatch for dispatch in family}

    def below(dispatch: Dispatch, before: str, only: int | None) -> Iterable[Task]:
        for node, electron in dispatch.electrons.items():
            if electron.is_function and only in (None, node):
                label = f"{before}{electron.name.removeprefix(database.SUBLATTICE)}[{node}]"
                yield Task(electron, label, electron.job_id)
                if electron.sub_dispatch in by_id:
                    yield from below(by_id[electron.sub_dispatch], f"{label}/", None)

    return list(below(next(iter(by_id.values())), "", wanted))


def count(number: int, thing: str) -> str:
    """A number of things, as `3 jobs`.

    Args:
        number: How many.
        thing: What they are, in the singular.
    """
    return f"{number} {thing}{'s' * (number != 1)}"
