"""Word that a function's container is about to end, for a function that wants to use the time that is left.

A spot machine is taken back two minutes after EC2 has announced it: with the executor's option `spot_notice=True` the
runner looks for that. For whatever else ends a job, Fargate Spot included, the word is SIGTERM, which comes
`stop_timeout` seconds before the end.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
"""

from __future__ import annotations

from collections.abc import Callable

_callbacks: list[Callable[[], object]] = []
_is_announced = False


class Interrupted(BaseException):
    """The function's container is about to end. No `Exception`, so that only who expects it holds it up.

    A function that ends with it has given way: its job waits for its machine's end, so that another attempt follows as
    after any lost machine.
    """

    def __init__(self) -> None:
        super().__init__("the machine or the container of the function is about to end")


def on_notice(callback: Callable[[], object] | None = None) -> None:
    """Have something done once when the word comes; at once if it has come already.

    It is called in the process and the main thread of the function, between two steps of Python, as a handler of a
    signal is: a long call into native code is not interrupted.

    Args:
        callback: Is called without arguments; what it raises is raised in the function. None raises `Interrupted`.
    """
    called = _interrupt if callback is None else callback
    if _is_announced:
        called()
    else:
        _callbacks.append(called)


def is_announced() -> bool:
    """Whether the word has come, for a function that looks by itself, such as after each epoch."""
    return _is_announced


def announce() -> None:
    """Pass the word on. The runner does; a function's tests may."""
    global _is_announced  # noqa: PLW0603
    _is_announced = True
    while _callbacks:
        _callbacks.pop(0)()


def _interrupt() -> None:
    raise Interrupted
