"""What commands about a dispatch share, and those of them that are functions of this package alone.

Imports nothing that takes time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from covalent_awsbatch_plugin.printable import printable

from .problem import Problem


def on_dispatch(run: Callable[[Any, Any], int], options: Mapping[str, str | None]) -> None:
    """Run a command with its settings, and exit with what it returns.

    Args:
        run: Takes the settings and a spinner that shows that something is under way.
        options: Options of the executor; None for those that were not given.
    """
    from .spinner import Spinner

    with Spinner("reading Covalent's configuration") as spinner:
        # Covalent comes first: it loads the executor as a plugin, and must find it whole.
        import covalent  # noqa: F401

        from covalent_awsbatch_plugin.errors import AWSBatchError
        from covalent_awsbatch_plugin.options.checks import checked
        from covalent_awsbatch_plugin.options.configuration import resolved

        try:
            sys.exit(run(checked(resolved(given(options)), given(options)), spinner))
        except AWSBatchError as error:
            spinner.hide()
            raise Problem(said(error)) from error


def said(error: Any) -> str:
    """What a command says of an `AWSBatchError`: where there are no credentials, one line more with what to type.

    Args:
        error: The error.
    """
    if found := error.details.get("found"):
        return printable(f"no usable AWS credentials: {found}") + f"\n    → {printable(error.details['fix'])}"
    return str(error.message)


def given(options: Mapping[str, str | None]) -> dict[str, Any]:
    """The options that were given.

    Args:
        options: All of them.
    """
    return {name: value for name, value in options.items() if value is not None}


@click.argument("dispatch", default="newest")
def watch(*, dispatch: str, **options: str | None) -> None:
    """Show a dispatch as it goes on, until it has ended: what runs, waits and is done, and what it prints.

    At the end it shows the result, or why electrons failed. The beginning of an id is enough; without one it is the
    newest dispatch. Ctrl-C ends the watching alone. Run it where the Covalent server runs, as its user: elsewhere only
    the jobs in the queue are known.

    Exit status: 0 fine, 1 something could not be had, 2 there is no such dispatch.
    """

    def run(settings: Any, spinner: Any) -> int:
        from .watching.command import run_watch

        spinner.hide()
        return run_watch(dispatch, settings)

    on_dispatch(run, options)


@click.argument("dispatch", default="newest")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="The file; else report-ID.html in this directory."
)
@click.option(
    "--prices", type=click.Path(path_type=Path), help="A JSON file with other prices than those of AWS's list."
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON, and no page.")
def report(*, dispatch: str, output: Path | None, prices: Path | None, as_json: bool, **options: str | None) -> None:
    """Write one page about a dispatch: when what ran, how much memory it took, exit codes and estimated cost.

    The page is one file that needs nothing else. The beginning of an id is enough; without one it is the newest
    dispatch. Run it where the Covalent server runs, as its user, within a day after the end: AWS Batch forgets jobs.

    Exit status: 0 fine, 1 something could not be found out, 2 there is no such dispatch.
    """

    def run(settings: Any, spinner: Any) -> int:
        from .report.command import Flags, run_report

        return run_report(dispatch, settings, spinner, Flags(output, prices, as_json))

    on_dispatch(run, options)
