"""That a command is at work: a spinner on a terminal, else a line for each step. Imports nothing that takes time."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.status import Status
from rich.text import Text

from covalent_awsbatch_plugin.printable import one_line


class Spinner:
    """Shows on the error stream what a command does, while it is entered.

    Args:
        step: The first step.
    """

    def __init__(self, step: str) -> None:
        self._console = Console(stderr=True)
        # FORCE_COLOR makes rich call a file a terminal; a dumb one shows nothing that is written over.
        self._is_drawn = self._console.file.isatty() and self._console.is_interactive
        self._step = ""
        self._first = step
        self._status: Status | None = None

    def __enter__(self) -> Spinner:
        self.show(self._first)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.hide()

    def show(self, step: str) -> None:
        """Shows a step until the next one.

        Args:
            step: What is done.
        """
        if step != self._step and not self._is_drawn:
            self._console.print(Text(one_line(step)), soft_wrap=True)
        self._step = step
        if self._is_drawn:
            if self._status is None:
                self._status = self._console.status(Text(one_line(step)))
                self._status.start()
            self._status.update(Text(one_line(step)))

    def detail(self, step: str) -> None:
        """Shows a step where it takes the place of the last one, and writes no line where it does not.

        Args:
            step: What is done.
        """
        if self._is_drawn:
            self.show(step)

    def hide(self) -> None:
        """Takes it away, so that something can be written."""
        if self._status is not None:
            self._status.stop()
            self._status = None
