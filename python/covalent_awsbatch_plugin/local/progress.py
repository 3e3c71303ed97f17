"""Prints progress in lines, which are the same on a terminal and in a log, with colours on a terminal only."""

from __future__ import annotations

import time
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from covalent_awsbatch_plugin.printable import one_line, printable

from .summary import JobSummary

_STYLES = {
    "SUCCEEDED": "green",
    "COMPLETED": "green",
    "FAILED": "red",
    "CANCELLED": "yellow",
    "RUNNING": "cyan",
    "STARTING": "cyan",
}


class Progress:
    """Writes one line for every change, with the seconds since it was made.

    Args:
        console: Where the lines go; standard output when not given.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()
        if not self.console.is_terminal:
            # Not a terminal: a job's name and reason should fit into one line.
            self.console = Console(file=self.console.file, width=160)
        self._began = time.monotonic()
        self._seen: dict[str, tuple[str, int]] = {}

    def line(self, topic: str, text: str, state: str = "") -> None:
        """Writes one line.

        Args:
            topic: What it is about: `electron`, `job`, …
            text: What happened.
            state: A state, which is coloured by its meaning.
        """
        self.console.print(
            Text.assemble(
                (f"{time.monotonic() - self._began:7.1f} s  ", "dim"),
                (f"{topic:<9} ", "bold"),
                (f"{one_line(state):<9} " if state else "", _STYLES.get(state, "")),
                one_line(text),
            ),
            soft_wrap=True,
        )

    def text(self, text: str) -> None:
        """Writes a text as it is, whatever it quotes."""
        self.console.print(Text(printable(text)), soft_wrap=True)

    def jobs(self, jobs: Iterable[JobSummary]) -> None:
        """Writes a line for every job whose state or number of attempts is new."""
        for job in jobs:
            now = (job.status, job.attempts)
            if self._seen.get(job.id) == now:
                continue
            self._seen[job.id] = now
            details = []
            if job.status in {"SUCCEEDED", "FAILED"}:
                details = [f"attempts {job.attempts}", f"exit code {_or_dash(job.exit_code)}", job.reason]
            elif job.attempts:
                details = [f"attempt {job.attempts} ended, trying again"]
            self.line("job", ", ".join([job.name, *filter(None, details)]), job.status)


def job_table(jobs: Iterable[JobSummary]) -> Table:
    """A table of jobs: job, state, attempts, seconds of the newest attempt, exit code, reason."""
    table = Table("job", "state", "attempts", "seconds", "exit code", "reason")
    for job in jobs:
        seconds = (job.stopped_at - job.started_at) / 1000 if job.started_at and job.stopped_at else None
        table.add_row(
            Text(one_line(job.name)),
            Text(one_line(job.status), style=_STYLES.get(job.status, "")),
            str(job.attempts),
            "-" if seconds is None else f"{seconds:.1f}",
            _or_dash(job.exit_code),
            Text(one_line(job.reason)),
        )
    return table


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)
