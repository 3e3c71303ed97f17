"""A job's process, which the embedded AWS controls through a supervisor."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

_SUPERVISOR = Path(__file__).with_name("_supervisor.py")
_CHUNK_BYTES = 64 * 1024
# How long to wait for the last output after the job has ended.
_DRAIN_SECONDS = 5.0
# How long a supervisor may take to start; usually milliseconds.
_START_SECONDS = 60.0


class CannotStartError(Exception):
    """The command could not be executed; the text says why."""


class JobProcess:
    """A running job.

    The thread that creates it must live until `wait` has answered: on Linux the job ends with it.

    Args:
        argv: Program and arguments; the program is looked up on the `PATH` of `environment`.
        environment: The job's whole environment.
        directory: Its working directory.
        on_output: Called with each piece of its output, and with b"" at the end, in a thread of its own.
        ulimits: Soft and hard limits by name; those that this system does not have are left out.

    Raises:
        CannotStartError: There is no such program, or it may not be executed.
    """

    def __init__(
        self,
        argv: list[str],
        environment: dict[str, str],
        directory: Path,
        on_output: Callable[[bytes], None],
        ulimits: Mapping[str, tuple[int, int]] = MappingProxyType({}),
    ) -> None:
        self._reports, report_fd = os.pipe()
        # Only the thread that waits reads reports, but any thread may stop the job.
        self._command_lock = threading.Lock()
        self._unread = b""
        try:
            self._supervisor = subprocess.Popen(
                # The base interpreter: the supervisor needs no packages, and starts faster without.
                [base_python(), "-I", "-S", str(_SUPERVISOR), str(report_fd), json.dumps(dict(ulimits)), *argv],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(report_fd,),
                cwd=directory,
                env=environment,
                # Ctrl-C in a terminal signals the whole foreground group; the job must not get it.
                start_new_session=True,
                bufsize=0,
            )
        except (OSError, ValueError) as error:  # ValueError: a NUL in an argument or a variable
            os.close(self._reports)
            raise CannotStartError(f"exec: {error}") from error
        finally:
            os.close(report_fd)
        self._reader = threading.Thread(
            target=self._read_output, args=(on_output,), daemon=True, name=f"job-output-{self._supervisor.pid}"
        )
        self._reader.start()
        first = self._next_report(_START_SECONDS)
        if first is None:
            self.kill()
            self._end()
            raise CannotStartError("the supervisor did not answer")
        if first.startswith("cannot "):
            self._end()
            raise CannotStartError(first.removeprefix("cannot "))
        self._pid = int(first.removeprefix("started ") or 0)

    def wait(self, timeout: float | None) -> tuple[bool, int | None]:
        """Waits until the job has ended and its output has been read.

        Args:
            timeout: Seconds; None waits as long as it takes.

        Returns:
            Whether it ended, and its exit code: None while it runs, and when the supervisor was killed, which
            simulates the loss of the host.
        """
        report = self._next_report(timeout)
        if report is None:
            return False, None
        if not report and self._pid:
            self._kill_group()
        self._end()
        return True, int(report.removeprefix("exit ")) if report else None

    def stop(self, grace: float) -> None:
        """Sends SIGTERM to the job's processes now and SIGKILL after `grace` seconds. Does not wait."""
        with self._command_lock:
            assert self._supervisor.stdin is not None
            with suppress(OSError, ValueError):  # it has ended already
                self._supervisor.stdin.write(f"stop {grace}\n".encode())

    def kill(self) -> None:
        """Kills the supervisor, and with it the job: for a supervisor that does not answer."""
        self._supervisor.kill()

    def _next_report(self, timeout: float | None) -> str | None:
        """Returns the next line; "" when the supervisor is gone; None when the time is over."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self._reports, selectors.EVENT_READ)
            while b"\n" not in self._unread:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                if not selector.select(left):
                    return None
                piece = os.read(self._reports, _CHUNK_BYTES)
                if not piece:
                    return ""
                self._unread += piece
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode("utf-8", "replace")

    def _kill_group(self) -> None:
        """Kills the job's process group after its supervisor was killed: only the job itself ends with that."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)

    def _end(self) -> None:
        os.close(self._reports)
        self._supervisor.wait()
        with self._command_lock:
            assert self._supervisor.stdin is not None
            self._supervisor.stdin.close()
        self._reader.join(_DRAIN_SECONDS)

    def _read_output(self, on_output: Callable[[bytes], None]) -> None:
        assert self._supervisor.stdout is not None
        with self._supervisor.stdout as output:
            while piece := os.read(output.fileno(), _CHUNK_BYTES):
                on_output(piece)
        on_output(b"")


def base_python() -> str:
    """Returns the interpreter that the caller's virtual environment, if there is one, was made from."""
    return getattr(sys, "_base_executable", None) or sys.executable
