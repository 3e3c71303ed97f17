"""`covalent-awsbatch why`: shows why electrons of a dispatch failed."""

from __future__ import annotations

import dataclasses
import json

import click
from rich.console import Console
from rich.text import Text

from covalent_awsbatch_plugin.options.settings import Settings
from covalent_awsbatch_plugin.printable import printable

from .explanation import Explanation, Failure, explained
from .named import UnknownError, count
from .spinner import Spinner
from .wrapping import say, width, wrapped

FINE, FAILED, NOT_KNOWN = 0, 1, 2


def run_why(word: str, settings: Settings, spinner: Spinner, *, as_json: bool) -> int:
    """Shows why electrons of a dispatch failed.

    Args:
        word: Id of a dispatch or a job, or its beginning.
        settings: Whose queue, account and region count.
        spinner: Shows what is done.
        as_json: Write JSON.

    Returns:
        The exit code: 0 fine, 1 something could not be found out, 2 there is no such dispatch.

    Raises:
        AWSBatchError: Neither Covalent's database nor AWS answers.
    """
    spinner.show(f"looking for {word}")
    try:
        explanation = explained(word, settings)
    except UnknownError as error:
        spinner.hide()
        say(error)
        return NOT_KNOWN
    spinner.hide()
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(explanation), indent=2))
    else:
        _Page().show(explanation)
    for problem in explanation.problems:
        say(problem)
    return FAILED if explanation.problems else FINE


class _Page:
    """What is written on the standard output."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._columns = width(self._console)

    def show(self, explanation: Explanation) -> None:
        dispatch = f"Dispatch {printable(explanation.dispatch_id)}"
        state = f" is {explanation.status}" if explanation.status else ""
        if explanation.failures:
            self._write(f"{dispatch}{state}: {count(len(explanation.failures), 'electron')} failed.")
        else:
            self._write(f"{dispatch}{state}: no electron failed.")
            self._block(explanation.error, "  ")
        for failure in explanation.failures:
            self._failure(failure)

    def _failure(self, failure: Failure) -> None:
        self._write("")
        self._write(f"{failure.name}({failure.arguments})", "", "bold")
        self._block(failure.sentence, "  ", "red")
        self._block(failure.traceback, "  ", "dim")
        if failure.job_id:
            attempts = "" if failure.attempts is None else f", {count(failure.attempts, 'attempt')}"
            self._write(f"job {failure.job_id}{attempts}", "  ")
        if failure.console:
            self._write(failure.console, "  ")
        for one in failure.earlier:
            self._write(f"earlier job {one.job_id}: {one.ended}", "  ")
            if one.console:
                self._write(one.console, "    ")
        for command in failure.next:
            self._write(f"→ {command}", "  ", "cyan")

    def _block(self, text: str, indent: str, style: str = "") -> None:
        for line in text.split("\n") if text else ():
            self._write(line, indent, style)

    def _write(self, line: str, indent: str = "", style: str = "") -> None:
        """Writes a line; where it is broken, what follows stands two columns further to the right."""
        bare = line.lstrip(" ")
        first = indent + " " * (len(line) - len(bare))
        columns = None if self._columns is None else self._columns - len(first) - 2
        for number, piece in enumerate(wrapped(bare, columns)):
            self._console.print(Text((first + "  " * (number > 0)) + piece, style), soft_wrap=True)
