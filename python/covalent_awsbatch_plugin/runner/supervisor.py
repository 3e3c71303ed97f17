"""The supervisor: fetches the task from S3, sends it to the worker, and writes the envelope."""

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
from covalent_awsbatch_plugin.agreement.naming import (
    BUCKET_OWNER,
    KMS_KEY,
    REFERENCES_METADATA,
    SENDER_METADATA,
)
from covalent_awsbatch_plugin.printable import printable

from . import contents, usage
from . import envelope as envelopes
from .output import Pump, write
from .signals import TERMINATION_SIGNALS, WORKER_NOTICE, WORKER_TERMINATION

if TYPE_CHECKING:
    from collections.abc import Callable

    from .checkpoint import Checkpoint
    from .others import OtherNodes
    from .process import Worker

EXIT_GRACE_SECONDS = 10.0
"""Seconds that the worker may run after its answer, for threads that are still running, before it is killed."""

_EXIT_GRACE_TERMINATED_SECONDS = 1.0  # a terminated container has 30 s in all by default
_TERMINATION_GRACE_SECONDS = (
    3.0  # for the function after SIGTERM; then the envelope is written, since SIGKILL may follow
)
_NOTICE_SECONDS = 150.0  # EC2 takes the machine two minutes after its notice
_DRAIN_SECONDS = 1.0  # for the output of remaining processes, and again after they are killed
_CHUNK_BYTES = 1024 * 1024
_EXIT_STATUSES = {"succeeded": 0, "terminated": 128 + signal.SIGTERM}  # as for any program that SIGTERM ends


class Supervisor:
    """One attempt of a job.

    Args:
        worker: The function's process.
        bucket: Where task and result are.
        key: Object of the envelope.
        signing_key: What to sign the envelope with, as for `envelope.write_envelope`.
    """

    def __init__(self, worker: Worker, bucket: str, key: str, signing_key: str) -> None:
        self._worker = worker
        self._bucket = bucket
        self._key = key
        self._signing_key = signing_key
        self._client = Client("{}").for_bucket(os.environ.get(BUCKET_OWNER, "any"), os.environ.get(KMS_KEY, ""))
        self._envelope = envelopes.new_envelope()
        self._sender: dict[str, str] = {}
        self._events: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._answered = False
        self._terminated = False
        self._noticed = False
        self._deadline = math.inf
        self._exit_status: int | None = None
        self._notes: list[str] = []
        self._worker_exit_code = 0
        self._pumps = Pump(worker.stdout, 1), Pump(worker.stderr, 2)
        self._checkpoint: Checkpoint | None = None
        self._others: OtherNodes | None = None

    def keep_checkpoint(self, key: str, interval: float) -> None:
        """Store the function's checkpoint while it runs, and restore it before.

        Args:
            key: Its object.
            interval: Seconds between storing it and storing it again.
        """
        from .checkpoint import Checkpoint

        self._checkpoint = Checkpoint(self._client, self._bucket, key, interval, log_line)

    def watch_for_notice(self) -> None:
        """Tell the function when EC2 announces that it takes the machine back."""
        from . import spot_notice

        self._start_thread(spot_notice.watch, lambda: self._events.put(self._on_notice), log_line)

    def wait_for_nodes(self) -> None:
        """Have the job end well only when all of its nodes have left a result, and fail with the first that did not."""
        from .others import OtherNodes

        self._others = OtherNodes(self._client, self._bucket, self._key)

    def run(self, function_key: str) -> int:
        """Send the task to the worker, wait for its answer, and write the envelope.

        Args:
            function_key: The object that holds the pickled (function, args, kwargs).

        Returns:
            The exit status.
        """
        for pump in self._pumps:
            pump.start()
        self._start_thread(self._wait_for_signals)
        self._start_thread(usage.learn_pull_times)
        if envelopes.succeeded_before(self._client, self._bucket, self._key):
            self._signal(signal.SIGKILL)
            log_line("An earlier attempt of this job has left its result: the function is not called again.")
            return 0
        ended, ended_writer = os.pipe()
        self._start_thread(self._reap, ended_writer)
        self._start_thread(self._receive, ended)
        self._start_thread(self._send_task, function_key)
        code = self._watch()
        self._worker.listener.remove()
        self._drain()
        if self._others and code == 0:
            code = self._wait_for(self._others)
        if not self._write_envelope():
            code = 1
        if self._checkpoint and code:
            self._checkpoint.store()  # for the next attempt
        for text in (*self._notes, self._envelope["traceback"]):
            if text:
                log_line(text)
        if self._noticed and self._envelope["status"] == "terminated":
            self._wait_for_the_end()
        return code

    def _watch(self) -> int:
        """Handle events until the worker has ended, by itself or because it was killed.

        Returns:
            The exit status of the job.
        """
        while self._exit_status is None:
            left = None if self._deadline == math.inf else max(0.0, self._deadline - time.monotonic())
            try:
                event = self._events.get(timeout=left)
            except Empty:
                event = self._on_deadline
            event()
        return self._exit_status

    def _wait_for(self, others: OtherNodes) -> int:
        """Wait for the results of the other nodes. Returns the exit status of the job."""
        try:
            while others.missing() and not self._terminated:
                with contextlib.suppress(Empty):
                    self._events.get(timeout=others.pause)()
        except Exception as error:  # noqa: BLE001  (whatever it is, the envelope has to say it)
            self._fail("failed", str(error), getattr(error, "exception", type(error).__name__))
            return 1
        if self._terminated:
            self._fail("terminated", "Terminated: while it waited for the results of the other nodes", "Terminated")
            return _EXIT_STATUSES["terminated"]
        return 0

    def _on_termination_signal(self) -> None:
        if self._terminated:
            return
        self._terminated = True
        if self._answered:
            self._deadline = min(self._deadline, time.monotonic() + _EXIT_GRACE_TERMINATED_SECONDS)
            return
        from . import explanation

        self._fail("terminated", f"Terminated: {explanation.Terminated()}", "Terminated")
        self._deadline = time.monotonic() + _TERMINATION_GRACE_SECONDS
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._worker.pid, WORKER_TERMINATION)

    def _on_notice(self) -> None:
        if not self._noticed:
            self._noticed = True
            log_line("EC2 has announced that it takes this machine back.")
            if self._checkpoint and not self._answered:
                self._start_thread(self._checkpoint.store)
        if not self._answered:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._worker.pid, WORKER_NOTICE)

    def _wait_for_the_end(self) -> None:
        """Stay until the machine goes: AWS Batch then knows why, and what is tried again after that is."""
        deadline = time.monotonic() + _NOTICE_SECONDS
        while not self._terminated and (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(Empty):
                self._events.get(timeout=left)()

    def _on_answer(self, said: Any) -> None:
        if not self._answered:
            self._answered = True
            if self._checkpoint and said["status"] == "succeeded":
                self._checkpoint.stop()
            self._envelope.update(said)
            self._deadline = time.monotonic() + (
                _EXIT_GRACE_TERMINATED_SECONDS if self._terminated else EXIT_GRACE_SECONDS
            )

    def _on_task_unreadable(self, error: Exception) -> None:
        if not self._answered:
            self._answered = True
            from . import explanation

            self._fail("failed", explanation.explain(error, "opening", self._sender), explanation.name_of(error))
            self._signal(signal.SIGKILL)

    def _on_deadline(self) -> None:
        self._deadline = math.inf
        if self._answered:
            self._notes.append(
                "The function's process still ran after the function had ended, with threads that are no daemons or "
                "with what it does at its exit, and was ended."
            )
            self._signal(signal.SIGKILL)
        else:
            self._write_envelope()  # in case the container is killed before the function ends
            if self._checkpoint:
                self._start_thread(self._checkpoint.store)  # the function may still return

    def _on_worker_exit(self, code: int) -> None:
        if not self._answered and not self._terminated:
            from . import explanation

            self._fail("failed", explanation.explain_missing_answer(code, self._sender), None)
            self._exit_status = 128 - code if code < 0 else code or 1
        else:
            self._exit_status = _EXIT_STATUSES.get(self._envelope["status"], 1)

    def _start_thread(self, target: Callable[..., None], *args: Any) -> None:
        threading.Thread(target=target, args=args, daemon=True).start()

    def _wait_for_signals(self) -> None:
        while True:
            signal.sigwait(TERMINATION_SIGNALS)  # they are blocked in all threads
            self._events.put(self._on_termination_signal)

    def _reap(self, ended_writer: int) -> None:
        _, status = os.waitpid(self._worker.pid, 0)
        self._worker_exit_code = os.waitstatus_to_exitcode(status)
        os.close(ended_writer)

    def _receive(self, ended: int) -> None:
        try:
            while answer := self._worker.listener.answer(self._worker.pid, ended):
                said, body = answer
                with contextlib.suppress(EOFError):
                    if said["status"] == "succeeded":
                        said |= envelopes.store_output(self._client, self._bucket, self._key, body.size, body.pieces())
                    self._events.put(partial(self._on_answer, said))
        finally:  # whatever happens, since nothing else ends the job
            self._events.put(partial(self._on_worker_exit, self._worker_exit_code))

    def _send_task(self, key: str) -> None:
        try:
            if self._checkpoint:
                self._checkpoint.restore()
                self._checkpoint.start()
            reader = self._client.reader(self._bucket, key)
            for name, version in reader.metadata.items():
                if name.startswith(SENDER_METADATA) and name != REFERENCES_METADATA:
                    self._sender[name.removeprefix(SENDER_METADATA)] = version
            listed = contents.listed(reader, key)
            opening = {"sender": self._sender, "contents": [one.size for one in listed]}
            write(self._worker.task, json.dumps(opening).encode() + b"\n")
            for one in listed:
                contents.send(self._client, self._bucket, one, partial(write, self._worker.task))
            while piece := reader.read(_CHUNK_BYTES):
                write(self._worker.task, piece)
        except BrokenPipeError:
            pass  # the worker has closed the pipe: the pickle has ended, or loading has failed
        except Exception as error:  # noqa: BLE001  (whatever it is, the job must say it)
            self._events.put(partial(self._on_task_unreadable, error))  # before the worker fails on half a task
        finally:
            os.close(self._worker.task)

    def _fail(self, status: str, traceback: str, exception: str | None) -> None:
        self._envelope.update({"status": status, "traceback": traceback, "exception": exception})

    def _drain(self) -> None:
        """Wait for the end of the output. Remaining processes may hold the pipes open for ever, so they are killed."""
        for last in (False, True):
            deadline = time.monotonic() + _DRAIN_SECONDS
            for pump in self._pumps:
                pump.join(max(0.0, deadline - time.monotonic()))
            if not last:
                self._signal(signal.SIGKILL)

    def _write_envelope(self) -> bool:
        self._envelope["stdout"], self._envelope["stderr"] = (pump.tail.text() for pump in self._pumps)
        try:
            envelopes.write_envelope(self._client, self._bucket, self._key, self._envelope, self._signing_key)
        except Exception as error:  # noqa: BLE001  (whatever it is, the log must have it in a sentence)
            place = f"s3://{self._bucket}/{self._key}"
            log_line(f"The result could not be written to {place}: {type(error).__name__}: {error}")
            return False
        return True

    def _signal(self, number: int) -> None:
        """Signal the worker and its child processes, unless they have left its process group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._worker.pid, number)


def log_line(text: str) -> None:
    """Write to the container's log only.

    Args:
        text: Lines of any origin.
    """
    with contextlib.suppress(OSError):
        write(2, f"{printable(text)}\n".encode())
