"""Runs one job and leaves nothing of it behind: the parent process of every job.

A program of its own (`python -I -S _supervisor.py REPORT_FD COMMAND...`), standard library only. It stands between the
embedded AWS and the job because only a process of its own can outlive a killed parent and clean up after it.

It reads orders from stdin: `stop SECONDS` sends SIGTERM to the job's process group and SIGKILL after that many seconds.
The end of stdin means that the embedded AWS is gone: the job is stopped at once. It writes reports to REPORT_FD, one a
line: `started PID`, `cannot TEXT` (the command could not be executed), `exit CODE` (128 + n for signal n, as a shell
says it).
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import FrameType

ORPHAN_GRACE_SECONDS = 2.0
"""How long a job may go on after its embedded AWS has vanished."""

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def _prctl(option: int, value: int) -> None:
    """Calls Linux's prctl(2); does nothing elsewhere, where the end of stdin has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


class Supervisor:
    """One job: its process, the orders for it, and what is reported of it.

    Args:
        report_fd: File descriptor that the reports go to.
        command: The job's program and its arguments.
    """

    def __init__(self, report_fd: int, command: list[str]) -> None:
        os.set_inheritable(report_fd, False)
        self._report_fd = report_fd
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = threading.Event()

    def run(self) -> None:
        """Starts the job, obeys until it has ended, and reports how it ended."""
        # Whatever the job leaves behind, even in a session of its own, becomes a child of this process, not of init.
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        signal.signal(signal.SIGTERM, self._on_parent_death)
        # Besides the end of stdin: a fork of the parent may hold the other end of the pipe open.
        _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        try:
            # preexec_fn is safe here: there is one thread so far.
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509
            )
        except OSError as error:
            self._report(f"cannot exec: {self._command[0]!r}: {error.strerror}")
            return
        self._report(f"started {self._process.pid}")
        threading.Thread(target=self._obey, daemon=True).start()
        code = self._wait(self._process)
        self._report(f"exit {code}")

    def _obey(self) -> None:
        for line in sys.stdin:
            order, _, seconds = line.strip().partition(" ")
            if order == "stop":
                threading.Thread(target=self._stop, args=(float(seconds),), daemon=True).start()
        self._stop(ORPHAN_GRACE_SECONDS)

    def _on_parent_death(self, _signum: int, _frame: FrameType | None) -> None:
        threading.Thread(target=self._stop, args=(ORPHAN_GRACE_SECONDS,), daemon=True).start()

    def _stop(self, grace: float) -> None:
        self._signal(signal.SIGTERM)
        if not self._ended.wait(grace):
            self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        # The job is not reaped before `_ended` is set, so that the id of its group cannot be another's by then.
        if self._process is None or self._ended.is_set():
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        if hasattr(os, "waitid"):
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            self._signal(signal.SIGKILL)  # a container's other processes end with its first one
        self._ended.set()
        code = process.wait()
        _end_orphans()
        return 128 - code if code < 0 else code

    def _report(self, line: str) -> None:
        with suppress(OSError):  # nobody listens any more
            os.write(self._report_fd, line.encode("utf-8", "replace") + b"\n")


def _die_with_parent() -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end_orphans() -> None:
    """Kills what left the job's process group and has come to this process as its child (Linux only)."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    for _ in range(100):  # each round may uncover the children of the last; no process tree goes on for ever
        try:
            pids = [int(pid) for pid in children.read_text().split()]
        except OSError:
            return
        if not pids:
            return
        for pid in pids:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


if __name__ == "__main__":
    Supervisor(int(sys.argv[1]), sys.argv[2:]).run()
    # Threads may still wait for orders; nothing is left to flush.
    os._exit(0)
