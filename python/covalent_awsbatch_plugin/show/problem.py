"""What ends a command: its message is broken between words. Imports nothing that takes time."""

from __future__ import annotations

from typing import IO, Any

import click


class Problem(click.ClickException):
    """Ends a command with the exit status 1, after `Error:` and its message on the error stream."""

    def show(self, file: IO[Any] | None = None) -> None:  # noqa: ARG002
        """Writes the message; a command in backticks that fits a line is not broken."""
        from .wrapping import say

        say(f"Error: {self.format_message()}")
