"""The function's process, as the other one knows it."""

from __future__ import annotations

from dataclasses import dataclass

from .channel import Listener


@dataclass(frozen=True)
class Worker:
    """The function's process, as the supervisor holds it.

    Attributes:
        pid: Its id, which is that of its process group, too.
        listener: Where its answer arrives.
        task: Descriptor that the task is written to.
        stdout: Descriptor from which comes what it prints, and its children.
        stderr: The same for the error stream.
    """

    pid: int
    listener: Listener
    task: int
    stdout: int
    stderr: int
