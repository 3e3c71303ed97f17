"""The start: one process becomes two, while it has neither threads nor connections."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

from covalent_awsbatch_plugin.agreement.naming import SIGNING_KEY

from .channel import Listener
from .process import Worker
from .signals import ORDERS

_VARIABLES = ("S3_BUCKET_NAME", "COVALENT_TASK_FUNC_FILENAME", "RESULT_FILENAME")


def main() -> int:
    """Run the task that the environment names.

    Returns:
        The exit status.
    """
    missing = [name for name in _VARIABLES if not os.environ.get(name)]
    if missing:
        names = ", ".join(_VARIABLES)
        print(
            f"No task to run: the executor sets {names} in the job, and {', '.join(missing)} is not set.",
            file=sys.stderr,
        )
        return 1
    # The function, and what it starts, has no use for it.
    signing_key = os.environ.pop(SIGNING_KEY, "")
    worker = _fork()
    if worker is None:
        return 0
    # Imported while the worker imports Covalent.
    from .container import quick_covalent
    from .supervisor import Supervisor

    bucket, function_key, result_key = (os.environ[name] for name in _VARIABLES)
    with quick_covalent():  # the core's exceptions are Covalent's
        return Supervisor(worker, bucket, result_key, signing_key).run(function_key)


def _fork() -> Worker | None:
    """Start the function's process, and return None in it when it is done."""
    # Without a handler: a thread of the supervisor takes them, when there is one, and until then none is lost.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ORDERS)
    listener = Listener()
    task, stdout, stderr = os.pipe(), os.pipe(), os.pipe()
    supervisor, log = os.getpid(), os.dup(2)
    pid = os.fork()
    if pid:
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)  # as below; whoever comes first
        for descriptor in (task[0], stdout[1], stderr[1], log):
            os.close(descriptor)
        return Worker(pid, listener, task[1], stdout[0], stderr[0])
    os.setpgid(0, 0)  # who signals the supervisor's group means the supervisor, which tells the function
    listener.close()
    os.dup2(stdout[1], 1)
    os.dup2(stderr[1], 2)
    for descriptor in (task[1], *stdout, *stderr):
        os.close(descriptor)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    from .worker import run

    run(supervisor, task[0], listener.address, log)
    return None
