"""Watches a dispatch until it has ended: looks again and again, and shows what it finds."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol

from rich.console import Console

from covalent_awsbatch_plugin.options.settings import Settings
from covalent_awsbatch_plugin.show import named
from covalent_awsbatch_plugin.show.following import SECONDS, Following
from covalent_awsbatch_plugin.show.reading import Line
from covalent_awsbatch_plugin.task.connection import client

from . import notebook, states
from .ending import ending, how_to_come_back
from .plain import Plain
from .states import Kind, Snapshot
from .terminal import Terminal


class View(Protocol):
    """What shows it."""

    def begin(self, word: str) -> None:
        """Shows that it is looked for."""

    def update(
        self, snapshot: Snapshot, lines: Iterable[Line], several: Collection[str], problems: Iterable[str]
    ) -> None:
        """Shows how it is now, and what was printed meanwhile."""

    def end(self, said: Sequence[str], *, failed: bool) -> None:
        """Shows the last words."""

    def close(self) -> None:
        """Gives back what it has taken."""


def watch(dispatch_id: str) -> None:
    """Show a dispatch as it goes on, until it has ended: in a notebook, a terminal, or as lines in a file.

    Which electrons run, wait (and for what) and are done, what they print, and at the end the result or why it failed.
    It is called where the Covalent server runs, as its user. Queue, account and region are those of the section
    `[executors.awsbatch]` of Covalent's configuration. An interrupt ends the watching and nothing else: it says how to
    come back and how to cancel. In a notebook that is all; elsewhere the `KeyboardInterrupt` goes on to the caller.

    Args:
        dispatch_id: The dispatch, or the beginning of its id.

    Raises:
        LookupError: There is no such dispatch, or several begin so; the message names them.
        AWSBatchError: An option of the configuration cannot work, or neither Covalent's database nor AWS answers.
    """
    # Covalent comes first: it loads the executor as a plugin, and must find it whole.
    import covalent  # noqa: F401

    from covalent_awsbatch_plugin.options.checks import checked
    from covalent_awsbatch_plugin.options.configuration import resolved

    is_notebook = notebook.is_here()
    try:
        watched(dispatch_id, checked(resolved({}), {}), notebook.Notebook() if is_notebook else view())
    except KeyboardInterrupt:
        if not is_notebook:
            raise


def view() -> View:
    """What shows it where this is no notebook."""
    # While Covalent's server is asked, what its client prints is caught, in a thread: the terminal stays the same.
    console = Console(file=sys.stdout, highlight=False)
    # FORCE_COLOR makes rich call a file a terminal; a dumb one shows nothing that is written over.
    if console.file.isatty() and console.is_interactive:
        return Terminal(console)
    return Plain()


def watched(word: str, settings: Settings, shown: View) -> bool:
    """The same for given options.

    Args:
        word: Id of a dispatch or a job, or its beginning.
        settings: Whose queue, account and region count.
        shown: What shows it.

    Returns:
        Whether all could be had that there is to show.

    Raises:
        UnknownError: Nothing has that name, or several have.
        AWSBatchError: Neither Covalent's database nor AWS answers.
        KeyboardInterrupt: It was interrupted, and what there is to say of that was said.
    """
    # Where a notebook's event loop runs, no other one can: all that asks is done in a thread.
    asking = ThreadPoolExecutor(1)
    following: Following | None = None
    shown.begin(word)
    try:
        following = asking.submit(_begun, word, settings).result()
        while True:
            lines = asking.submit(following.look).result()
            is_over = asking.submit(following.is_over).result()
            lines += following.kept() if is_over else []
            now = states.snapshot(following)
            shown.update(now, lines, following.reader.of_several_attempts, following.problems)
            if is_over:
                break
            time.sleep(SECONDS)
            asking.submit(following.refresh).result()
        failed = any(row.kind is Kind.FAILED for row in now.rows) or now.status == "FAILED"
        shown.end(asking.submit(ending, following, settings).result(), failed=failed)
    except KeyboardInterrupt:
        shown.end(how_to_come_back(following.named.dispatch_id if following else word), failed=False)
        raise
    finally:
        shown.close()
        asking.shutdown(wait=False, cancel_futures=True)
    return not following.problems


def _begun(word: str, settings: Settings) -> Following:
    connection = client(settings, interactive=True)
    found = replace(named.find(word, connection, settings.queues), node_id=None)
    tasks = named.tasks(found, connection, settings.queues)
    return Following(connection, settings, found, tasks, None, lambda _: None)
