"""Prints progress in lines, which are the same on a terminal and in a log, with colours on a terminal only."""

from __future__ import annotations

import time
from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from covalent_awsbatch_plugin.printable import one_line, printable
from covalent_awsbatch_plugin.show.columns import aligned
from covalent_awsbatch_plugin.show.wrapping import width, wrapped

from .electron_names import ElectronNames
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

    Attributes:
        console: The same.
        names: What the functions of jobs are called.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self.names = ElectronNames()
        self._began = time.monotonic()
        self._seen: dict[str, tuple[str, int]] = {}

    def line(self, topic: str, text: str, state: str = "") -> None:
        """Writes one line.

        Args:
            topic: What it is about: `electron`, `job`, …
            text: What happened.
            state: A state, which is coloured by its meaning.
        """
        before = Text.assemble(
            (f"{time.monotonic() - self._began:7.1f} s  ", "dim"),
            (f"{topic:<9} ", "bold"),
            (f"{one_line(state):<9} " if state else "", _STYLES.get(state, "")),
        )
        columns = width(self.console)
        pieces = wrapped(one_line(text), None if columns is None else columns - len(before))
        for number, piece in enumerate(pieces):
            self.console.print((Text(" " * len(before)) if number else before) + Text(piece), soft_wrap=True)

    def output(self, electron: str, text: str) -> None:
        """Writes what a function has printed, each line after the name of its electron.

        Args:
            electron: Such as `train[3]`.
            text: What it printed.
        """
        for line in printable(text).rstrip("\n").split("\n"):
            self.console.print(Text.assemble((one_line(electron), "cyan"), (" │ ", "dim"), line), soft_wrap=True)

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
            if job.status == "FAILED":
                details = [f"exit code {_or_dash(job.exit_code)}", job.reason]
            elif job.attempts and job.status != "SUCCEEDED":
                details = [f"attempt {job.attempts} ended, trying again"]
            self.line("job", "; ".join([self.names.label(job), *filter(None, details)]), job.status)


def job_table(jobs: Iterable[JobSummary], names: ElectronNames) -> list[Text]:
    """A table of jobs in lines: state, seconds of the newest attempt, exit code, which job it is, and why it failed.

    Args:
        jobs: The jobs.
        names: What their functions are called.
    """
    rows = [[Text(title, "bold") for title in ("STATE", "SECONDS", "EXIT", "JOB", "ELECTRON", "WHY")]]
    for job in jobs:
        seconds = (job.stopped_at - job.started_at) / 1000 if job.started_at and job.stopped_at else None
        rows.append(
            [
                Text(one_line(job.status), style=_STYLES.get(job.status, "")),
                Text("-" if seconds is None else f"{seconds:.1f}"),
                Text(_or_dash(job.exit_code)),
                Text(one_line(job.id[:8])),
                Text(one_line(names.name(job))),
                Text(one_line(job.reason) if job.status == "FAILED" else ""),
            ]
        )
    return aligned(rows, None)


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)
