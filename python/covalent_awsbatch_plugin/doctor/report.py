"""What `covalent-awsbatch doctor` prints: a header, a line a check with its remedy below it, and what to do next."""

from __future__ import annotations

import dataclasses
import json
import time
from collections import Counter
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from covalent_awsbatch_plugin.options.settings import Settings
from covalent_awsbatch_plugin.printable import one_line, printable
from covalent_awsbatch_plugin.show.spinner import Spinner
from covalent_awsbatch_plugin.show.wrapping import hanging, width

from .checks.base import Check, State

_SIGNS = {State.PASSED: ("✓", "green"), State.FAILED: ("✗", "red"), State.UNKNOWN: ("\N{EN DASH}", "yellow")}
_COUNTED = {State.PASSED: "well", State.FAILED: "wrong", State.UNKNOWN: "not told"}
_SUMMARIES = {
    State.PASSED: "All is well.",
    State.FAILED: "Something is wrong.",
    State.UNKNOWN: "Nothing wrong was found, but not everything could be told.",
}
_NAME_COLUMNS = 17
"""Columns of a check's name: as many as `job role's rights` takes."""

_RIGHTS = "needs "


class Report:
    """The checks so far.

    Args:
        spinner: Is hidden whenever something is printed.
        as_json: Write JSON at the end in place of lines.
        verbose: Also print what a check has for that.
    """

    def __init__(self, spinner: Spinner, *, as_json: bool, verbose: bool) -> None:
        self._spinner = spinner
        self._as_json, self._verbose = as_json, verbose
        self._checks: list[Check] = []
        self._console = Console(highlight=False)
        self._columns = width(self._console)
        self._began = time.monotonic()

    def head(self, settings: Settings, account: str) -> None:
        """Prints what is looked at.

        Args:
            settings: The configuration.
            account: The account's number; empty if it is not known.
        """
        if self._as_json:
            return
        shown = {
            "account": account or "not known",
            "region": settings.region,
            "queue": settings.batch_queue,
            "bucket": settings.s3_bucket_name,
            "endpoint": settings.endpoint_url,
        }
        self._spinner.hide()
        for name, value in shown.items():
            if value:
                self._write(one_line(value), f"  {name:<{_NAME_COLUMNS}} ", "dim")
        self._write("", "")

    def add(self, check: Check) -> None:
        """Prints a check."""
        self._checks.append(check)
        if self._as_json:
            return
        self._spinner.hide()
        name, found = one_line(check.name), printable(check.found)
        if len(name) > _NAME_COLUMNS:  # such as `environment NAME`
            name, _, rest = name.partition(" ")
            found = f"{rest}: {found}"
        sign, colour = _SIGNS[check.state]
        self._write(found, f"{sign} {name:<{_NAME_COLUMNS}} ", colour)
        indent = " " * (_NAME_COLUMNS + 3)
        if check.fix:
            self._write(printable(check.fix), f"{indent}→ ")
        if check.providers and self._verbose:
            self._write(printable(check.providers), indent, "dim")

    def note(self, line: str) -> None:
        """Prints the progress of a check."""
        self._spinner.hide()
        click.echo(f"    {printable(line)}", err=self._as_json)

    @property
    def verdict(self) -> State:
        """The worst of the checks so far."""
        states = {check.state for check in self._checks}
        return next((state for state in (State.FAILED, State.UNKNOWN) if state in states), State.PASSED)

    def end(self) -> None:
        """Prints the summary and what to type next."""
        self._spinner.hide()
        verdict = self.verdict
        if self._as_json:
            content = {"state": verdict.value, "checks": [_to_dict(check) for check in self._checks]}
            click.echo(json.dumps(content, indent=2))
            return
        counted = Counter(check.state for check in self._checks)
        counts = ", ".join(f"{counted[state]} {word}" for state, word in _COUNTED.items() if counted[state])
        seconds = time.monotonic() - self._began
        self._write("", "")
        self._write(f"{_SUMMARIES[verdict]} {len(self._checks)} checks in {seconds:.1f} s: {counts}.", "", "bold")
        self._write(self._next(verdict), "Next: ")

    def _next(self, verdict: State) -> str:
        wrong = [one_line(check.name) for check in self._checks if check.state is State.FAILED]
        if wrong:
            return f"mend {wrong[0]} as its → says, then `covalent-awsbatch doctor` again"
        if verdict is State.UNKNOWN and any(
            _RIGHTS in check.found for check in self._checks if check.state is State.UNKNOWN
        ):
            return "`covalent-awsbatch policy user --doctor` prints the rights by which more can be told"
        if any(check.name == "run" for check in self._checks):
            return "`covalent start`, unless it runs, and dispatch a workflow"
        return "`covalent-awsbatch doctor --run` runs one tiny job"

    def _write(self, text: str, first: str, style: str = "") -> None:
        """Writes a text behind what stands before it, in which the sign or all has a style; the rest hangs."""
        hung = hanging(text, first, " " * len(first), self._columns)
        for number, line in enumerate(hung):
            shown = Text(line)
            if style and first[:1] in {sign for sign, _ in _SIGNS.values()}:
                shown.stylize(style, 0, 1 if not number else 0)
            elif style:
                shown.stylize(style)
            self._console.print(shown, soft_wrap=True)


def _to_dict(check: Check) -> dict[str, Any]:
    return {**dataclasses.asdict(check), "state": check.state.value}
