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

from covalent_awsbatch_plugin.agreement.unpickling import Unpickler

from . import channel
from .container import SecondLook, quick_covalent
from .explanation import Terminated, explain, mismatch, name_of
from .output import text_stream
from .signals import TERMINATION

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

_PR_SET_PDEATHSIG = 1


class Task:
    """A task on its way.

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
            source: Descriptor from which it comes: a line of JSON with the sender's versions, and the pickle.
            log: Descriptor of the container's log, for what is not the function's.

        Returns:
            The serialised result.
        """
        function, args, kwargs = self._load(source, log)
        self.stage = "running"
        return self._serialized(function(*args, **kwargs))

    def _load(self, source: int, log: int) -> tuple[Any, Sequence[Any], dict[str, Any]]:
        with quick_covalent():
            # Nearly every task needs it, even if its pickle does not name it.
            importlib.import_module("covalent.executor.utils.wrappers")
        _divert_the_log_of_covalent(log)
        with open(source, "rb", buffering=1024 * 1024) as file:
            self.sender = json.loads(file.readline())
            if warning := mismatch(self.sender):
                print(warning, file=sys.stderr)
            function, args, kwargs = Unpickler(file).load()  # running it is what this is for
        return function, args, kwargs

    def _serialized(self, result: Any) -> bytes:
        from covalent._workflow.transportable_object import TransportableObject

        self.stage = "returning"
        serialized: bytes = TransportableObject.make_transportable(result).serialize()
        return serialized


def run(supervisor: int, source: int, address: str | bytes, log: int) -> None:
    """Load the task, run it, and hand over what came of it.

    Args:
        supervisor: Process id of the supervisor.
        source: As for `Task.run`.
        address: Where the answer goes.
        log: As for `Task.run`.
    """
    _end_with(supervisor)
    sys.stdout, sys.stderr = text_stream(1, "<stdout>"), text_stream(2, "<stderr>")
    faulthandler.enable(2)  # a crash in native code leaves no result, but at least its stack
    sys.meta_path.append(SecondLook)
    me, task = os.getpid(), Task()
    said: dict[str, Any] = {"status": "succeeded", "traceback": None, "exception": None}
    output = b""
    try:
        try:
            signal.signal(TERMINATION, _terminate)
            output = task.run(source, log)
        finally:
            signal.signal(TERMINATION, signal.SIG_IGN)  # from here on the answer must get out
    except BaseException as error:  # noqa: BLE001  (also SystemExit: the job must say how it ended)
        said["status"] = "terminated" if isinstance(error, Terminated) else "failed"
        said["traceback"] = explain(error, task.stage, task.sender)
        said["exception"] = name_of(error)
    if os.getpid() == me:  # else a copy that the function made of this process, and that came back as well
        with contextlib.suppress(OSError):
            channel.send(address, said, output)


def _divert_the_log_of_covalent(log: int) -> None:
    """What Covalent has to say about itself is not what the function prints: it goes to the container's log alone."""
    for handler in logging.getLogger("covalent._shared_files.logger").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(text_stream(log, "<log>"))


def _terminate(_number: int, _frame: FrameType | None) -> None:
    """Raise in the function, unless it has made provisions for SIGTERM itself, such as to save where it stands."""
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        os.kill(os.getpid(), signal.SIGTERM)
        return
    signal.signal(TERMINATION, signal.SIG_IGN)  # one is enough, a second must not disturb the answer
    raise Terminated


def _end_with(supervisor: int) -> None:
    """Where the supervisor is the container's first process the kernel sees to that by itself."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != supervisor:
        os._exit(1)
