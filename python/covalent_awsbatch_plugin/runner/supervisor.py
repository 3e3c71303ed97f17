"""The process that speaks to S3: feeds the function's process, and brings out what became of the task."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import threading
import time
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.agreement.naming import BUCKET_OWNER, KMS_KEY, SENDER_METADATA
from covalent_awsbatch_plugin.printable import printable

from . import envelope as envelopes
from .output import Pump, write
from .signals import ORDERS, TERMINATION

if TYPE_CHECKING:
    from collections.abc import Callable

    from .process import Worker

LINGER = 10.0
"""Seconds that the function's process may go on after its answer, for threads that still run, before it is killed."""

_LINGER_TERMINATED = 1.0  # a container that is to end has 30 s in all, unless it is told otherwise
_PATIENCE = 3.0  # seconds for the function to end after SIGTERM; then what is known goes out, as it may never
_DRAIN = 1.0  # seconds for the output of processes that are left, and once more when they are killed
_PIECE = 1024 * 1024
_CODES = {"succeeded": 0, "terminated": 128 + signal.SIGTERM}  # as any program that SIGTERM ends


class Supervisor:
    """One attempt of a job.

    Args:
        worker: The function's process.
        bucket: Where task and result are.
        key: Object of the envelope.
        signing_key: What to sign the envelope with, as for `envelope.deliver`.
    """

    def __init__(self, worker: Worker, bucket: str, key: str, signing_key: str) -> None:
        self._worker = worker
        self._bucket = bucket
        self._key = key
        self._signing_key = signing_key
        self._client = Client("{}").for_bucket(os.environ.get(BUCKET_OWNER, "any"), os.environ.get(KMS_KEY, ""))
        self._envelope = envelopes.begun()
        self._sender: dict[str, str] = {}
        self._events: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._answered = False
        self._terminated = False
        self._deadline = math.inf
        self._exit: int | None = None
        self._notes: list[str] = []
        self._code = 0
        self._pumps = Pump(worker.stdout, 1), Pump(worker.stderr, 2)

    def run(self, function_key: str) -> int:
        """Bring the task to the worker, wait for what comes of it, and write that down.

        Args:
            function_key: The object that holds the pickled (function, args, kwargs).

        Returns:
            The exit status.
        """
        for pump in self._pumps:
            pump.start()
        self._start(self._take_orders)
        if envelopes.succeeded_before(self._client, self._bucket, self._key):
            self._signal(signal.SIGKILL)
            say("An earlier attempt of this job has left its result: the function is not called again.")
            return 0
        ended, tell = os.pipe()
        self._start(self._reap, tell)
        self._start(self._receive, ended)
        self._start(self._feed, function_key)
        code = self._watch()
        self._worker.listener.remove()
        self._drain()
        if not self._deliver():
            code = 1
        for text in (*self._notes, self._envelope["traceback"]):
            if text:
                say(text)
        return code

    def _watch(self) -> int:
        """Follow the worker until it has ended, by itself or because its time is over.

        Returns:
            The exit status of the job.
        """
        while self._exit is None:
            left = None if self._deadline == math.inf else max(0.0, self._deadline - time.monotonic())
            try:
                event = self._events.get(timeout=left)
            except Empty:
                event = self._on_time_over
            event()
        return self._exit

    def _on_order(self) -> None:
        if self._terminated:
            return
        self._terminated = True
        if self._answered:
            self._deadline = min(self._deadline, time.monotonic() + _LINGER_TERMINATED)
            return
        from . import explanation

        self._fail("terminated", f"Terminated: {explanation.Terminated()}", "Terminated")
        self._deadline = time.monotonic() + _PATIENCE
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._worker.pid, TERMINATION)

    def _on_answer(self, said: Any) -> None:
        if not self._answered:
            self._answered = True
            self._envelope.update(said)
            self._deadline = time.monotonic() + (_LINGER_TERMINATED if self._terminated else LINGER)

    def _on_unreadable(self, error: Exception) -> None:
        if not self._answered:
            self._answered = True
            from . import explanation

            self._fail("failed", explanation.explain(error, "opening", self._sender), explanation.name_of(error))
            self._signal(signal.SIGKILL)

    def _on_time_over(self) -> None:
        self._deadline = math.inf
        if self._answered:
            self._notes.append(
                "The function's process still ran after the function had ended, with threads that are no daemons or "
                "with what it does at its exit, and was ended."
            )
            self._signal(signal.SIGKILL)
        else:
            self._deliver()  # in case that the container is killed before the function ends

    def _on_end(self, code: int) -> None:
        if not self._answered and not self._terminated:
            from . import explanation

            self._fail("failed", explanation.ended_silently(code, self._sender), None)
            self._exit = 128 - code if code < 0 else code or 1
        else:
            self._exit = _CODES.get(self._envelope["status"], 1)

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        threading.Thread(target=target, args=args, daemon=True).start()

    def _take_orders(self) -> None:
        while True:
            signal.sigwait(ORDERS)  # which are blocked in all threads
            self._events.put(self._on_order)

    def _reap(self, tell: int) -> None:
        _, status = os.waitpid(self._worker.pid, 0)
        self._code = os.waitstatus_to_exitcode(status)
        os.close(tell)

    def _receive(self, ended: int) -> None:
        try:
            while answer := self._worker.listener.answer(self._worker.pid, ended):
                said, body = answer
                with contextlib.suppress(EOFError):
                    if said["status"] == "succeeded":
                        said |= envelopes.take_output(self._client, self._bucket, self._key, body.size, body.pieces())
                    self._events.put(partial(self._on_answer, said))
        finally:  # whatever happens: nobody else would end the job
            self._events.put(partial(self._on_end, self._code))

    def _feed(self, key: str) -> None:
        try:
            reader = self._client.reader(self._bucket, key)
            for name, version in reader.metadata.items():
                if name.startswith(SENDER_METADATA):
                    self._sender[name.removeprefix(SENDER_METADATA)] = version
            write(self._worker.task, json.dumps(self._sender).encode() + b"\n")
            while piece := reader.read(_PIECE):
                write(self._worker.task, piece)
        except BrokenPipeError:
            pass  # it does not want more: the pickle was at its end before, or it has failed
        except Exception as error:  # noqa: BLE001  (whatever it is, the job must say it)
            self._events.put(partial(self._on_unreadable, error))  # before the worker can complain of half a task
        finally:
            os.close(self._worker.task)

    def _fail(self, status: str, traceback: str, exception: str | None) -> None:
        self._envelope.update({"status": status, "traceback": traceback, "exception": exception})

    def _drain(self) -> None:
        """Take what was printed. Processes that the function has left may hold the pipes for ever: they end with it."""
        for last in (False, True):
            deadline = time.monotonic() + _DRAIN
            for pump in self._pumps:
                pump.join(max(0.0, deadline - time.monotonic()))
            if not last:
                self._signal(signal.SIGKILL)

    def _deliver(self) -> bool:
        self._envelope["stdout"], self._envelope["stderr"] = (pump.tail.text() for pump in self._pumps)
        try:
            envelopes.deliver(self._client, self._bucket, self._key, self._envelope, self._signing_key)
        except Exception as error:  # noqa: BLE001  (whatever it is, the log must have it in a sentence)
            place = f"s3://{self._bucket}/{self._key}"
            say(f"The result could not be written to {place}: {type(error).__name__}: {error}")
            return False
        return True

    def _signal(self, number: int) -> None:
        """To the function's process and those that it has started, as far as they have not left its group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._worker.pid, number)


def say(text: str) -> None:
    """Say something in the container's log, and there alone.

    Args:
        text: Lines of any origin.
    """
    with contextlib.suppress(OSError):
        write(2, f"{printable(text)}\n".encode())
