"""The parent process of a job: runs it, and kills everything that it leaves.

A separate program (`python -I -S _supervisor.py REPORT_FD ULIMITS COMMAND...`) that uses only the standard library. It
is the parent of the job instead of the embedded AWS, because it can outlive a killed embedded AWS and clean up.

ULIMITS is a JSON object of soft and hard limits by name, as `ulimits` of a job definition has them.

It reads commands from stdin: `stop SECONDS` sends SIGTERM to the job's process group, and SIGKILL after that many
seconds. The end of stdin means that the embedded AWS has ended: the job is stopped at once. It writes reports to
REPORT_FD, one a line: `started PID`, `cannot TEXT` (the command could not be executed), `exit CODE` (128 + n for signal
n, as in a shell).
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import FrameType

ORPHAN_GRACE_SECONDS = 2.0
"""How long a job may run after its embedded AWS has ended."""

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def _prctl(option: int, value: int) -> None:
    """Calls Linux's prctl(2). Does nothing on other systems, where only the end of stdin is noticed."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


class Supervisor:
    """One job: its process, the commands for it, and its reports.

    Args:
        report_fd: File descriptor that the reports go to.
        ulimits: Soft and hard limits of the job by name.
        command: The job's program and its arguments.
    """

    def __init__(self, report_fd: int, ulimits: dict[str, list[int]], command: list[str]) -> None:
        self._ulimits = ulimits
        os.set_inheritable(report_fd, False)
        self._report_fd = report_fd
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = threading.Event()

    def run(self) -> None:
        """Starts the job, executes commands until it has ended, and reports how it ended."""
        # Orphaned processes of the job, even in their own session, become children of this process instead of init's.
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        signal.signal(signal.SIGTERM, self._on_parent_death)
        # In addition to the end of stdin, since a fork of the parent may keep the pipe open.
        _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        try:
            # preexec_fn is safe here: there is one thread so far.
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=self._prepare,  # noqa: PLW1509
            )
        except OSError as error:
            self._report(f"cannot exec: {self._command[0]!r}: {error.strerror}")
            return
        self._report(f"started {self._process.pid}")
        threading.Thread(target=self._read_commands, daemon=True).start()
        code = self._wait(self._process)
        self._report(f"exit {code}")

    def _prepare(self) -> None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        for name, (soft, hard) in self._ulimits.items():
            _limit(name, soft, hard)

    def _read_commands(self) -> None:
        for line in sys.stdin:
            verb, _, seconds = line.strip().partition(" ")
            if verb == "stop":
                threading.Thread(target=self._stop, args=(float(seconds),), daemon=True).start()
        self._stop(ORPHAN_GRACE_SECONDS)

    def _on_parent_death(self, _signum: int, _frame: FrameType | None) -> None:
        threading.Thread(target=self._stop, args=(ORPHAN_GRACE_SECONDS,), daemon=True).start()

    def _stop(self, grace: float) -> None:
        self._signal(signal.SIGTERM)
        if not self._ended.wait(grace):
            self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        # The job is reaped after `_ended` is set, so its group's id cannot have been reused.
        if self._process is None or self._ended.is_set():
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        if hasattr(os, "waitid"):
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            self._signal(signal.SIGKILL)  # as in a container, whose processes end with the first one
        self._ended.set()
        code = process.wait()
        _kill_orphans()
        return 128 - code if code < 0 else code

    def _report(self, line: str) -> None:
        with suppress(OSError):  # the reader has ended
            os.write(self._report_fd, line.encode("utf-8", "replace") + b"\n")


def _limit(name: str, soft: int, hard: int) -> None:
    """Limits this process; -1 is no limit. Without the rights of root nothing is raised above what it has."""
    number = getattr(resource, f"RLIMIT_{name.upper()}", None)
    if number is None:
        return
    soft, hard = (resource.RLIM_INFINITY if limit == -1 else limit for limit in (soft, hard))
    try:
        resource.setrlimit(number, (soft, hard))
    except (OSError, ValueError):
        most = resource.getrlimit(number)[1]
        resource.setrlimit(number, (most if soft == resource.RLIM_INFINITY else min(soft, most), most))


def _kill_orphans() -> None:
    """Kills processes that left the job's process group and became children of this process (Linux only)."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    for _ in range(100):  # each round may orphan more processes; the number of rounds is bounded
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
    Supervisor(int(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:]).run()
    # A thread may still be reading commands; there is nothing to flush.
    os._exit(0)
