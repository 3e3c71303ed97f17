"""The worker as the supervisor sees it."""

from __future__ import annotations

from dataclasses import dataclass

from .channel import Listener


@dataclass(frozen=True)
class Worker:
    """The function's process.

    Attributes:
        pid: Its id, which is also that of its process group.
        listener: Where its answer arrives.
        task: Descriptor that the task is written to.
        stdout: Descriptor of the output of the process and its children.
        stderr: The same for the error stream.
    """

    pid: int
    listener: Listener
    task: int
    stdout: int
    stderr: int
