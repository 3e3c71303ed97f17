"""The process that runs the function."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import importlib
import json
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from covalent_awsbatch_plugin import interruption
from covalent_awsbatch_plugin.agreement import references
from covalent_awsbatch_plugin.agreement.unpickling import Unpickler, read_text

from . import channel, display_text, installed
from .container import FreshPathFinder, fast_covalent_import
from .explanation import Terminated, explain, name_of, version_warning
from .output import text_stream
from .signals import WORKER_NOTICE, WORKER_TERMINATION

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

_PR_SET_PDEATHSIG = 1


class Task:
    """A task and its progress.

    Attributes:
        stage: Where it is: `loading`, `running`, `returning`.
        sender: Versions of what packaged it.
    """

    def __init__(self) -> None:
        self.stage = "loading"
        self.sender: dict[str, str] = {}

    def run(self, source: int, log: int) -> bytes:
        """Load it and call the function.

        Args:
            source: Descriptor from which it comes: a line of JSON with the `sender`'s versions and the sizes of the
                `contents`; the contents that the pickle refers to; and the pickle.
            log: Descriptor of the container's log, for what is not the function's.

        Returns:
            The serialised result.
        """
        function, args, kwargs = self._load(source, log)
        self.stage = "running"
        return self._serialize(function(*args, **kwargs), function)

    def _load(self, source: int, log: int) -> tuple[Any, Sequence[Any], dict[str, Any]]:
        with fast_covalent_import():
            # Nearly every task needs it, even if its pickle does not refer to it.
            importlib.import_module("covalent.executor.utils.wrappers")
        installed.skip_what_is_there()
        _redirect_covalent_log(log)
        with open(source, "rb", buffering=1024 * 1024) as file:
            opening = json.loads(file.readline())
            self.sender = opening["sender"]
            if warning := version_warning(self.sender):
                print(warning, file=sys.stderr)
            references.provide([read_text(file, size) for size in opening["contents"]])
            function, args, kwargs = Unpickler(file).load()  # running it is what this is for
            references.provide([])
        return function, args, kwargs

    def _serialize(self, value: Any, function: Any) -> bytes:
        from covalent._workflow.transportable_object import TransportableObject

        self.stage = "returning"
        result = TransportableObject.make_transportable(value)
        display_text.shorten(result, function)
        serialized: bytes = result.serialize()
        return serialized


def run(supervisor: int, source: int, address: str | bytes, log: int) -> None:
    """Load the task, run it, and send the answer.

    Args:
        supervisor: Process id of the supervisor.
        source: See `Task.run`.
        address: Where the answer goes.
        log: See `Task.run`.
    """
    _exit_with_parent(supervisor)
    sys.stdout, sys.stderr = text_stream(1, "<stdout>"), text_stream(2, "<stderr>")
    faulthandler.enable(2)  # a crash in native code leaves no result, but at least its stack
    sys.meta_path.append(FreshPathFinder)
    own_pid, task = os.getpid(), Task()
    answer: dict[str, Any] = {"status": "succeeded", "traceback": None, "exception": None}
    output = b""
    try:
        try:
            signal.signal(WORKER_TERMINATION, _terminate)
            signal.signal(WORKER_NOTICE, _announce)
            output = task.run(source, log)
        finally:
            # From here on the answer must be sent.
            signal.signal(WORKER_TERMINATION, signal.SIG_IGN)
            signal.signal(WORKER_NOTICE, signal.SIG_IGN)
    except BaseException as error:  # noqa: BLE001  (also SystemExit: the job must say how it ended)
        is_told = isinstance(error, (Terminated, interruption.Interrupted))
        answer["status"] = "terminated" if is_told else "failed"
        answer["traceback"] = explain(error, task.stage, task.sender)
        answer["exception"] = name_of(error)
    if os.getpid() == own_pid:  # not in a forked copy that has returned from the function as well
        with contextlib.suppress(OSError):
            channel.send(address, answer, output)


def _redirect_covalent_log(log: int) -> None:
    """Send Covalent's log to the container's log only: it is not output of the function."""
    for handler in logging.getLogger("covalent._shared_files.logger").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(text_stream(log, "<log>"))


def _terminate(_number: int, _frame: FrameType | None) -> None:
    """Raise in the function, unless it handles SIGTERM itself, for example to write a checkpoint."""
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        os.kill(os.getpid(), signal.SIGTERM)
        return
    signal.signal(WORKER_TERMINATION, signal.SIG_IGN)  # a second one must not interrupt the answer
    interruption.announce()  # what a callback raises goes in its place
    raise Terminated


def _announce(_number: int, _frame: FrameType | None) -> None:
    interruption.announce()


def _exit_with_parent(supervisor: int) -> None:
    """Exit when the supervisor does. If it is process 1 of the container, the kernel does that anyway."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != supervisor:
        os._exit(1)
