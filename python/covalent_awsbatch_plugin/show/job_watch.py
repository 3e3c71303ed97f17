"""`covalent-awsbatch jobs --watch`: the table as it changes; on what is no terminal, each row when it is new."""

from __future__ import annotations

import time

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from covalent_awsbatch_plugin.errors import AWSBatchError
from covalent_awsbatch_plugin.options.settings import Settings
from covalent_awsbatch_plugin.printable import one_line
from covalent_awsbatch_plugin.task.connection import client

from . import job_table
from .jobs import FINE, Flags, Shown, look, nothing
from .named import count
from .spinner import Spinner
from .wrapping import say, width

_SECONDS = 2.0
"""Between two looks."""

_OTHER_LINES = 4
"""Lines of the screen that are not rows: the header, two below the table, and the cursor's."""


def watch_jobs(settings: Settings, flags: Flags, spinner: Spinner) -> int:
    """Shows the jobs until an interruption.

    Args:
        settings: Whose `batch_queue`, account and region count.
        flags: What to show.
        spinner: Shows what is done before the first answer.

    Returns:
        The exit code: 0.

    Raises:
        AWSBatchError: AWS did not answer the first time.
    """
    connection = client(settings, interactive=True)
    spinner.show(f"asking for the jobs of queue {settings.batch_queue}")
    shown, problem = look(connection, settings, flags), ""
    spinner.hide()
    screen = _Screen(settings, flags)
    try:
        with screen:
            while True:
                screen.show(shown, problem or shown.problem or shown.survey.problem)
                time.sleep(_SECONDS)
                try:
                    # What ends meanwhile stays.
                    shown, problem = look(connection, settings, flags, {job.id for job in shown.jobs}), ""
                except AWSBatchError as error:
                    problem = error.message
    except KeyboardInterrupt:
        return FINE


class _Screen:
    """Where the table goes."""

    def __init__(self, settings: Settings, flags: Flags) -> None:
        self._settings, self._flags = settings, flags
        self._console = Console(highlight=False)
        is_drawn = self._console.file.isatty() and self._console.is_interactive
        self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop") if is_drawn else None
        self._known: dict[str, tuple[str, str]] = {}
        self._problem = ""
        self._is_empty = False

    def __enter__(self) -> _Screen:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, shown: Shown, problem: str) -> None:
        """Shows the jobs as they are now, and what could not be had."""
        if self._live is None:
            self._write_news(shown, problem)
        else:
            self._live.update(self._page(shown, problem), refresh=True)

    def _page(self, shown: Shown, problem: str) -> Group:
        room = max(1, self._console.height - _OTHER_LINES)
        rows = shown.rows[-room:]
        columns = self._console.width
        lines = job_table.lines(rows, shown.ids, columns, wide=self._flags.wide) if rows else []
        states: dict[str, int] = {}
        for row in shown.rows:
            states[row.job.status] = states.get(row.job.status, 0) + 1
        counted = ", ".join(f"{number} {state}" for state, number in states.items())
        above = f" ({count(len(shown.rows) - len(rows), 'older one')} not shown)" if len(rows) < len(shown.rows) else ""
        foot = [Text(f"{counted}{above} · Ctrl-C ends this, and no job", "dim")] if counted else []
        foot = foot or [Text(nothing(self._settings, self._flags))]
        foot += [Text(one_line(problem), "yellow")] if problem else []
        for line in (*lines, *foot):
            line.no_wrap, line.overflow = True, "ignore" if self._flags.wide else "ellipsis"
        return Group(*lines, *foot)

    def _write_news(self, shown: Shown, problem: str) -> None:
        news = [row for row in shown.rows if self._known.get(row.job.id) != (row.job.status, row.why)]
        lines = job_table.lines(news, shown.ids, width(self._console), wide=self._flags.wide) if news else []
        for line in lines[bool(self._known) :]:
            self._console.print(line, soft_wrap=True)
        if not shown.rows and not self._is_empty:
            self._console.print(Text(nothing(self._settings, self._flags)), soft_wrap=True)
        self._is_empty = not shown.rows
        self._known |= {row.job.id: (row.job.status, row.why) for row in shown.rows}
        if problem and problem != self._problem:
            say(problem)
        self._problem = problem
