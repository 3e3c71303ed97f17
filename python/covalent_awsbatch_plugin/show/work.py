"""The work on an environment as it goes on: a bar on a terminal, else a line for each step."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from covalent_awsbatch_plugin.environment.cache import Packed
from covalent_awsbatch_plugin.environment.store import Watch


class Work(Watch):
    """Shows the steps while it is entered.

    Args:
        console: Where.

    Attributes:
        uploaded: Keys of the objects that were uploaded.
        seconds: How long it took.
    """

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._console = console
        self._task: TaskID | None = None
        self._step = ""
        self.uploaded: set[str] = set()
        self.seconds = 0.0

    def __enter__(self) -> Work:
        self._began = time.monotonic()
        self._progress.start()
        self._show("looking at what is installed here")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()
        self.seconds = time.monotonic() - self._began

    def packing(self, packages: int) -> None:
        """Shows that so many packages are being packed."""
        self._show(f"packing {packages} package{'s' * (packages != 1)}")

    def uploading(self, one: Packed, sent: int, size: int) -> None:
        """Shows how far an upload is."""
        self.uploaded.add(one.key)
        self._show(f"uploading {size / 1e6:,.1f} MB", sent, size)

    def baking(self) -> None:
        """Shows that an image is looked for, or made and pushed."""
        self._show("making the image, if it is not there")

    def _show(self, step: str, done: int = 0, total: int | None = None) -> None:
        if step != self._step:
            self._step = step
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._task = self._progress.add_task(step, total=total)
            if not self._console.is_terminal:
                self._console.print(step, soft_wrap=True, markup=False)
        if self._task is not None:
            self._progress.update(self._task, completed=done)
