"""`covalent-awsbatch logs`: what the electrons of a dispatch write, as it comes."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass

import click
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.errors import AccessError, AWSBatchError
from covalent_awsbatch_plugin.options.settings import Settings
from covalent_awsbatch_plugin.printable import one_line, printable
from covalent_awsbatch_plugin.server import api, database
from covalent_awsbatch_plugin.server.api import ServerUnreachableError
from covalent_awsbatch_plugin.server.database import DatabaseError
from covalent_awsbatch_plugin.task.connection import client

from . import named, reading
from .named import Named, Task, UnknownError
from .reading import Line
from .spinner import Spinner
from .wrapping import say, width, wrapped

FINE, FAILED, NOT_KNOWN = 0, 1, 2

_SECONDS = 2.0
"""Between two looks."""

_COLOURS = ("cyan", "green", "yellow")


@dataclass(frozen=True)
class Flags:
    """What the command was asked for.

    Attributes:
        follow: Go on until the dispatch or the job has ended.
        tail: Lines of each electron to begin with; None for all.
        as_json: Write a JSON object for each line.
    """

    follow: bool = False
    tail: int | None = None
    as_json: bool = False


def run_logs(word: str, node_id: int | None, settings: Settings, flags: Flags, spinner: Spinner) -> int:
    """Shows what the electrons of a dispatch, or one of them, have written.

    Args:
        word: Id of a dispatch or a job, or its beginning.
        node_id: A node of the dispatch; None for all.
        settings: Whose queue, log group, account and region count.
        flags: What to show.
        spinner: Shows what is done.

    Returns:
        The exit code: 0 fine, 1 something could not be read, 2 there is no such dispatch, job or node.

    Raises:
        AWSBatchError: AWS did not answer, and Covalent's database does not know the dispatch.
    """
    connection = client(settings, interactive=True)
    spinner.show(f"looking for {word}")
    try:
        found = named.find(word, connection, settings.batch_queue)
        tasks = named.tasks(found, connection, settings.batch_queue, node_id)
    except UnknownError as error:
        spinner.hide()
        say(error)
        return NOT_KNOWN
    try:
        return _Show(connection, settings, flags, spinner).run(found, tasks, node_id)
    except KeyboardInterrupt:
        spinner.hide()
        again = " ".join(["covalent-awsbatch logs", word, *([] if node_id is None else [str(node_id)]), "--follow"])
        say(f"\nWhat is under way goes on; `{again}` shows it again.")
        return FINE


class _Show:
    """One run of the command."""

    def __init__(self, connection: Client, settings: Settings, flags: Flags, spinner: Spinner) -> None:
        self._connection = connection
        self._settings = settings
        self._flags = flags
        self._spinner = spinner
        self._named = Named("")
        self._node_id: int | None = None
        self._reader = reading.Reader(connection, settings.batch_job_log_group_name)
        self._out = _Output(flags.as_json)
        self._problems: dict[str, None] = {}
        self._may_read = True

    def run(self, found: Named, tasks: list[Task], node_id: int | None) -> int:
        """Shows what there is, and goes on if that was asked for; returns the exit code."""
        self._named, self._node_id = found, node_id
        if found.problem:
            self._report(f"Only what AWS tells is known: {found.problem}.")
        lines = self._look(tasks)
        self._write(_last(lines, self._flags.tail))
        while self._flags.follow and self._may_read and not self._is_over(tasks):
            states = Counter(one.status for one in self._reader.jobs if not one.has_ended)
            under_way = ", ".join(f"{number} {status}" for status, number in states.items())
            self._spinner.show(f"following {self._named.dispatch_id}: {under_way or 'no job is under way'}")
            time.sleep(_SECONDS)
            tasks = self._current(tasks)
            self._write(self._look(tasks))
        self._write(_last(self._kept(tasks), self._flags.tail))
        self._spinner.hide()
        if not self._out.written:
            self._tell_states(tasks)
        return FAILED if self._problems else FINE

    def _look(self, tasks: list[Task]) -> list[Line]:
        """What is new in CloudWatch Logs."""
        self._reader.follow(tasks)
        if not self._reader.jobs:
            return []
        if not self._flags.follow:
            self._spinner.show(f"reading the logs of {named.count(len(self._reader.jobs), 'job')}")
        try:
            asyncio.run(self._reader.describe())
            return asyncio.run(self._reader.lines())
        except AccessError as error:
            self._may_read = False
            self._report(error.message)
        except AWSBatchError as error:
            self._report(error.message)
        return []

    def _current(self, tasks: list[Task]) -> list[Task]:
        """The electrons as they are now."""
        if not self._named.family:
            return tasks
        try:
            family = tuple(database.family(self._named.dispatch_id))
            self._named = Named(self._named.dispatch_id, self._named.node_id, family or self._named.family)
            return named.tasks(self._named, self._connection, self._settings.batch_queue, self._node_id)
        except (DatabaseError, AWSBatchError) as error:
            self._report(str(error))
            return tasks

    def _is_over(self, tasks: list[Task]) -> bool:
        """Whether nothing more is to come: two looks after the last job has ended, as lines may be late."""
        if any(not one.has_ended or one.looks < 2 for one in self._reader.jobs):
            return False
        if not self._named.family:
            return True
        only_one = self._named.node_id is not None or self._node_id is not None
        if all(task.electron.has_ended for task in tasks) if only_one else self._named.family[0].has_ended:
            return True
        if only_one and self._named.node_id is not None:
            return True  # a job was asked for
        try:
            with api.answers_of_covalent():
                api.dispatches(dispatch_id=[self._named.dispatch_id])
        except ServerUnreachableError as error:
            self._report(
                f"Dispatch {self._named.dispatch_id} is {self._named.family[0].status}, and nobody goes on with it: "
                f"{error}; start it with `covalent start`, then `covalent-awsbatch resume` goes on."
            )
            return True
        return False

    def _kept(self, tasks: list[Task]) -> list[Line]:
        """What Covalent keeps of electrons of which there is no log: it has expired, or there never was a job."""
        read = {one.task.label for one in self._reader.jobs if one.lines}
        return [
            Line(task, 0, 0, text)
            for task in tasks
            if task.label not in read and (task.electron.has_ended or not self._may_read)
            for stream in ("stdout", "stderr")
            for text in task.electron.text(stream).splitlines()
        ]

    def _write(self, lines: Iterable[Line]) -> None:
        attempts = {one.task.label for one in self._reader.jobs if one.job is not None and one.job.attempts > 1}
        self._out.write(lines, attempts, self._spinner)

    def _tell_states(self, tasks: list[Task]) -> None:
        """Says why there is nothing to show."""
        states = {one.task.label: f"{one.status} (job {one.task.job_id})" for one in self._reader.jobs}
        for task in tasks:
            state = states.get(task.label, task.electron.status)
            say(f"{one_line(task.label)} has written nothing; it is {state}.")
        if not tasks:
            say(f"Dispatch {self._named.dispatch_id} has no electron that is called.")

    def _report(self, problem: str) -> None:
        """Says what could not be had, once."""
        if problem not in self._problems:
            self._problems[problem] = None
            self._spinner.hide()
            say(problem)


class _Output:
    """Lines on the standard output, each after the name of its electron."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._console = Console(highlight=False)
        self._columns = width(self._console)
        self._colours: dict[str, str] = {}
        self._widest = 0
        self.written = 0

    def write(self, lines: Iterable[Line], several: set[str], spinner: Spinner) -> None:
        """Writes lines; those of electrons in `several` with their attempt."""
        for line in lines:
            spinner.hide()
            self.written += 1
            if self._as_json:
                click.echo(json.dumps(_to_dict(line)))
                continue
            label = one_line(line.task.label)
            colour = self._colours.setdefault(label, _COLOURS[len(self._colours) % len(_COLOURS)])
            if line.attempt > 1 or (line.attempt and line.task.label in several):
                label += f" attempt {line.attempt}"
            self._widest = max(self._widest, cell_len(label))
            gutter = label + " " * (self._widest - cell_len(label))
            columns = None if self._columns is None else self._columns - self._widest - 3
            for part in printable(line.text).split("\n"):
                for number, piece in enumerate(wrapped(part, columns)):
                    before = gutter if not number else " " * self._widest
                    shown = Text.assemble((before, colour), (" │ ", "dim"), piece)
                    self._console.print(shown, soft_wrap=True)


def _last(lines: list[Line], count: int | None) -> list[Line]:
    """The last lines of each electron, in their order."""
    if count is None:
        return lines
    kept: dict[str, deque[int]] = defaultdict(lambda: deque(maxlen=count))
    for number, line in enumerate(lines):
        kept[line.task.label].append(number)
    return [lines[number] for number in sorted(number for numbers in kept.values() for number in numbers)]


def _to_dict(line: Line) -> dict[str, object]:
    return {
        "dispatch": line.task.electron.dispatch_id,
        "node": line.task.electron.node_id,
        "name": line.task.label,
        "job": line.task.job_id or None,
        "attempt": line.attempt or None,
        "at": line.at or None,
        "text": line.text,
    }
