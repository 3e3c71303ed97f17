"""`covalent-awsbatch report`: writes one page about a dispatch."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import click

from covalent_awsbatch_plugin.errors import AWSBatchError, SettingsError
from covalent_awsbatch_plugin.options.settings import Settings
from covalent_awsbatch_plugin.printable import printable
from covalent_awsbatch_plugin.show.explanation import Failure, explained
from covalent_awsbatch_plugin.show.named import UnknownError
from covalent_awsbatch_plugin.show.spinner import Spinner
from covalent_awsbatch_plugin.show.wrapping import say

from . import prices
from .data import data
from .gathering import gathered
from .page import page
from .work import Run

FINE, FAILED, NOT_KNOWN = 0, 1, 2


@dataclass(frozen=True)
class Flags:
    """What the command was asked for.

    Attributes:
        output: The file of the page; None for one in this directory with the beginning of the dispatch's id.
        prices: A table of prices; None for that of this package.
        as_json: Write JSON to the standard output, and no page.
    """

    output: Path | None = None
    prices: Path | None = None
    as_json: bool = False


def run_report(word: str, settings: Settings, spinner: Spinner, flags: Flags) -> int:
    """Writes the page, and its path on the standard output.

    Args:
        word: Id of a dispatch or a job, or its beginning.
        settings: Whose queue, bucket, account and region count.
        spinner: Shows what is done.
        flags: What to write.

    Returns:
        The exit code: 0 fine, 1 something could not be found out, 2 there is no such dispatch.

    Raises:
        AWSBatchError: Neither Covalent's database nor AWS answers, or a file cannot be read or written.
    """
    chosen = prices.table(flags.prices or prices.OWN)
    spinner.show(f"looking for {word}, its jobs and what they left")
    try:
        run = gathered(word, settings)
    except UnknownError as error:
        spinner.hide()
        say(error)
        return NOT_KNOWN
    if flags.as_json:
        told = json.dumps(data(run, chosen, time.time()), indent=2)
    else:
        failures = _failures(run, settings, spinner)
        path = flags.output or Path(f"report-{run.named.dispatch_id[:8]}.html")
        try:
            path.write_text(page(run, failures, chosen, time.time()), encoding="utf-8")
        except OSError as error:
            raise SettingsError(printable(f"The report cannot be written: {error}.")) from error
        told = str(path)
    spinner.hide()
    for problem in run.problems:
        say(problem)
    click.echo(told)
    return FAILED if run.problems else FINE


def _failures(run: Run, settings: Settings, spinner: Spinner) -> tuple[Failure, ...]:
    if not any(work.task.electron.status == "FAILED" for work in run.works):
        return ()
    spinner.show("asking why electrons failed")
    try:
        return explained(run.named.dispatch_id, settings).failures
    except (AWSBatchError, UnknownError) as error:
        say(error)
        return ()
