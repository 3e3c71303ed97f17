"""Starts the runner: forks the worker while there are no threads or connections."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

from covalent_awsbatch_plugin.agreement.naming import (
    CHECKPOINT,
    ENVIRONMENT_DIRECTORY,
    NODE_RESULTS,
    SIGNING_KEY,
    SPOT_NOTICE,
    checkpoint_key,
)
from covalent_awsbatch_plugin.checkpoint import VARIABLE

from . import node
from .channel import Listener
from .process import Worker
from .signals import TERMINATION_SIGNALS, WORKER_NOTICE

_REQUIRED_VARIABLES = ("S3_BUCKET_NAME", "COVALENT_TASK_FUNC_FILENAME", "RESULT_FILENAME")


def main() -> int:
    """Run the task that the environment names.

    Returns:
        The exit status.
    """
    missing = [name for name in _REQUIRED_VARIABLES if not os.environ.get(name)]
    if missing:
        names = ", ".join(_REQUIRED_VARIABLES)
        print(
            f"No task to run: the executor sets {names} in the job, and {', '.join(missing)} is not set.",
            file=sys.stderr,
        )
        return 1
    # The function and its child processes must not see the key.
    signing_key = os.environ.pop(SIGNING_KEY, "")
    interval = os.environ.pop(CHECKPOINT, "")
    if interval and (problem := _make_checkpoint_directory()):
        print(problem, file=sys.stderr)
        return 1
    looks_for_notice = bool(os.environ.pop(SPOT_NOTICE, ""))
    signal.signal(WORKER_NOTICE, signal.SIG_IGN)  # until the worker has a handler; the notice is passed on again
    waits = os.environ.pop(NODE_RESULTS, "") == "all" and node.count() > 1 and not node.index()
    node.introduce()
    worker = _fork()
    if worker is None:
        return 0
    # Imported while the worker imports Covalent.
    from .container import fast_covalent_import
    from .supervisor import Supervisor

    bucket, function_key, result_key = (os.environ[name] for name in _REQUIRED_VARIABLES)
    with fast_covalent_import():  # the core's exceptions derive from Covalent's
        supervisor = Supervisor(worker, bucket, node.result_key(result_key, node.index()), signing_key)
        if interval:
            supervisor.keep_checkpoint(checkpoint_key(result_key, node.index()), float(interval))
        if looks_for_notice:
            supervisor.watch_for_notice()
        if waits:
            supervisor.wait_for_nodes()
        return supervisor.run(function_key)


def _make_checkpoint_directory() -> str:
    """Make what `checkpoint.directory` names, in a place of the user's if there is one. Returns why it cannot be."""
    given = os.environ.get(VARIABLE)
    try:
        if given:
            os.makedirs(given, exist_ok=True)  # noqa: PTH103
        else:
            given = _new_directory()
    except OSError as error:
        return f"There is no place for the checkpoint: {error}. The variable {VARIABLE} names another one."
    os.environ[VARIABLE] = os.path.abspath(given)  # noqa: PTH100  (the function may change the directory)
    return ""


def _new_directory() -> str:
    import tempfile

    if place := os.environ.get(ENVIRONMENT_DIRECTORY):
        with contextlib.suppress(OSError):  # the environment does without it, too
            return tempfile.mkdtemp(prefix="checkpoint-", dir=place)
    return tempfile.mkdtemp(prefix="checkpoint-")


def _fork() -> Worker | None:
    """Fork the worker. Returns None in the worker itself, when it is done."""
    # Blocked and without a handler, so that none is lost until a thread of the supervisor waits for them.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, TERMINATION_SIGNALS)
    listener = Listener()
    task, stdout, stderr = os.pipe(), os.pipe(), os.pipe()
    supervisor, log = os.getpid(), os.dup(2)
    pid = os.fork()
    if pid:
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)  # in both processes, since either may run first
        for descriptor in (task[0], stdout[1], stderr[1], log):
            os.close(descriptor)
        return Worker(pid, listener, task[1], stdout[0], stderr[0])
    os.setpgid(0, 0)  # a signal for the supervisor's group must not reach the function directly
    listener.close()
    os.dup2(stdout[1], 1)
    os.dup2(stderr[1], 2)
    for descriptor in (task[1], *stdout, *stderr):
        os.close(descriptor)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    from .worker import run

    run(supervisor, task[0], listener.address, log)
    return None
