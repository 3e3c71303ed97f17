"""`covalent-awsbatch logs`: what the electrons of a dispatch write, as it comes."""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass

from covalent_awsbatch_plugin.options.settings import Settings
from covalent_awsbatch_plugin.printable import one_line
from covalent_awsbatch_plugin.server import live
from covalent_awsbatch_plugin.task.connection import client

from . import named
from .following import SECONDS, Following
from .named import UnknownError
from .output import Output
from .reading import Line
from .spinner import Spinner
from .wrapping import say

FINE, FAILED, NOT_KNOWN = 0, 1, 2


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
        found = named.find(word, connection, settings.queues)
        tasks = named.tasks(found, connection, settings.queues, node_id)
    except UnknownError as error:
        spinner.hide()
        say(error)
        return NOT_KNOWN

    if word == named.NEWEST:
        spinner.hide()
        say(f"dispatch {found.dispatch_id}")

    def report(problem: str) -> None:
        spinner.hide()
        say(problem)

    try:
        return _Show(Following(connection, settings, found, tasks, node_id, report), flags, spinner).run()
    except KeyboardInterrupt:
        spinner.hide()
        again = " ".join(["covalent-awsbatch logs", word, *([] if node_id is None else [str(node_id)]), "--follow"])
        say(f"\nWhat is under way goes on; `{again}` shows it again.")
        return FINE


class _Show:
    """One run of the command."""

    def __init__(self, following: Following, flags: Flags, spinner: Spinner) -> None:
        self._following = following
        self._flags = flags
        self._spinner = spinner
        self._out = Output(flags.as_json)

    def run(self) -> int:
        """Shows what there is, and goes on if that was asked for; returns the exit code."""
        following = self._following
        if not self._flags.follow:
            jobs = sum(bool(task.job_id) for task in following.tasks)
            self._spinner.show(f"reading the logs of {named.count(jobs, 'job')}")
        self._write(_last(following.look(), self._flags.tail))
        while self._flags.follow and following.may_read and not following.is_over():
            states = Counter(one.status for one in following.reader.jobs if not one.has_ended)
            under_way = ", ".join(f"{number} {status}" for status, number in states.items())
            self._spinner.show(f"following {following.named.dispatch_id}: {under_way or self._before_jobs()}")
            time.sleep(SECONDS)
            following.refresh()
            self._write(following.look())
        self._write(_last(following.kept(), self._flags.tail))
        self._spinner.hide()
        if not self._out.written:
            self._tell_states()
        return FAILED if following.problems else FINE

    def _before_jobs(self) -> str:
        """What is done while there is no job."""
        waiting = (live.waits_for(task.electron.text("stderr")) for task in self._following.tasks if not task.job_id)
        return next((one_line(done) for done in waiting if done), "no job is under way")

    def _write(self, lines: Iterable[Line]) -> None:
        self._out.write(lines, self._following.reader.of_several_attempts, self._spinner)

    def _tell_states(self) -> None:
        """Says why there is nothing to show."""
        following = self._following
        states = {one.task.job_id: f"{one.status} (job {one.task.job_id})" for one in following.reader.jobs}
        for task in following.tasks:
            state = states.get(task.job_id, task.electron.status)
            done = "" if task.job_id else one_line(live.waits_for(task.electron.text("stderr")))
            say(f"{one_line(task.label)} has written nothing; it is {state}{done and f': {done}'}.")
        if not following.tasks:
            say(f"Dispatch {following.named.dispatch_id} has no electron that is called.")


def _last(lines: list[Line], count: int | None) -> list[Line]:
    """The last lines of each electron, in their order."""
    if count is None:
        return lines
    kept: dict[str, deque[int]] = defaultdict(lambda: deque(maxlen=count))
    for number, line in enumerate(lines):
        kept[line.task.label].append(number)
    return [lines[number] for number in sorted(number for numbers in kept.values() for number in numbers)]
