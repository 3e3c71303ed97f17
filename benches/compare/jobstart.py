"""Processor time of a job before its function's first line, by where it has its packages from."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import BUCKET, Lab

from .environments import PLACE, Plugin, bare
from .measuring import environment

PACKAGES = ["scikit-learn"]

_ROOM = 4 * 1024**3  # bytes

# Run with the plugin, as Covalent's server runs a task. The laboratory runs no job, and tells what it was to run.
_DISPATCH = """
import asyncio, functools, io, json, sys
from covalent._workflow.depspip import DepsPip
from covalent._workflow.transport import TransportableObject
from covalent.executor.utils.wrappers import wrapper_fn
from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor

def first_line(value):
    import os
    import time

    def seconds(pid):
        with open(f"/proc/{pid}/stat") as file:
            children = sum(map(int, file.read().rpartition(")")[2].split()[13:15]))
        # The clock of a process by its id: MAKE_PROCESS_CPUCLOCK in include/linux/posix-timers.h, and CPUCLOCK_SCHED.
        return time.clock_gettime(~pid << 3 | 2) + children / os.sysconf("SC_CLK_TCK")

    # The supervisor was the program in the job's definition, and has waited for what that has started.
    print("first line after", seconds(os.getpid()) + seconds(os.getppid()), flush=True)
    return value

async def nothing(*args, **kwargs):
    return None

options, packages, node = json.load(sys.stdin)
executor = AWSBatchExecutor(**options)
executor._task_stdout, executor._task_stderr = io.StringIO(), io.StringIO()
executor.get_cancel_requested = executor.set_job_handle = nothing
deps = [DepsPip(packages).apply()] if packages else []
call = functools.partial(wrapper_fn, TransportableObject(first_line), deps, [])
task = {"dispatch_id": "bench", "node_id": node}
asyncio.run(executor.run(call, [TransportableObject(1)], {}, task))
print(executor._task_stderr.getvalue(), file=sys.stderr)
"""


@dataclass(frozen=True)
class Start:
    """Seconds of processor time before the function's first line, the least of several jobs.

    Attributes:
        image: In an image that has all of it but the function's packages; the function needs none.
        bucket: In an image that has nothing but Python; the function needs no packages.
        packed: The same, with packages that were packed before.
        pip: The same, with packages that pip installs when the job starts.
    """

    image: float
    bucket: float
    packed: float
    pip: float


def measure(ours: Plugin, repeats: int) -> Start:
    """Starts jobs of each kind.

    Args:
        ours: The plugin.
        repeats: Of each.
    """
    with Lab() as lab, tempfile.TemporaryDirectory(prefix="jobs-", dir=_place()) as place:
        image = {"container_image_uri": "team/jobs:1"}
        kinds: list[tuple[dict[str, str], list[str], bool]] = [
            (image, [], False),
            ({}, [], False),
            ({}, PACKAGES, True),
            ({}, PACKAGES, False),
        ]
        seconds = [
            min(
                _first_line(ours, lab, _dispatched(ours, lab, number, options, packages), place, packed=packed)
                for _ in times
            )
            for number, (options, packages, packed) in enumerate(kinds)
            for times in [range(1 if packages and not packed else repeats)]
        ]
    return Start(*seconds)


def _place() -> Path:
    """Where jobs write: memory, if there is room for one.

    ext4 passes over inodes that were deleted in the last minutes, one by one, so that whoever creates files then takes
    twice the time (`recently_deleted` in fs/ext4/ialloc.c). In a container nothing was deleted.
    """
    memory = Path("/dev/shm")
    try:
        found = os.statvfs(memory)
    except OSError:
        return PLACE
    is_large = found.f_bavail * found.f_frsize >= _ROOM
    return memory if is_large and not found.f_flag & os.ST_NOEXEC and os.access(memory, os.W_OK) else PLACE


def _dispatched(ours: Plugin, lab: Lab, number: int, options: dict[str, str], packages: list[str]) -> dict[str, Any]:
    """The definition of the job of such a task."""
    known = dict(lab.options)
    del known["container_image_uri"]
    asked = {**known, **options, "batch_job_definition_name": f"kind-{number}", "poll_freq": 0.1}
    subprocess.run(
        [ours.python, "-c", _DISPATCH],
        input=json.dumps([asked, packages, number]),
        env={**environment(ours), **lab.environment},
        text=True,
        check=True,
    )
    [*_, definition] = [one for one in lab.definitions() if one["jobDefinitionName"] == f"kind-{number}"]
    container: dict[str, Any] = definition["containerProperties"]
    return {**container, "number": number}


def _first_line(ours: Plugin, lab: Lab, container: dict[str, Any], place: str, *, packed: bool) -> float:
    """Runs the job here: its image has the Python that made these environments, and pip."""
    scratch = tempfile.mkdtemp(prefix="job-", dir=place)
    variables = {one["name"]: one["value"] for one in container.get("environment", [])}
    if not packed:
        variables = {name: value for name, value in variables.items() if not name.endswith(("_PACKAGES", "_INSTALLED"))}
    base = str(bare(ours))
    command = container.get("command") or [ours.python, "-m", "covalent_awsbatch_plugin.runner"]
    if command[0] == "python3":
        command = [base, *command[1:]]
    own = command[0] != base
    inherited = {name: value for name, value in environment(ours).items() if own or name.startswith(("PATH", "PIP_"))}
    done = subprocess.run(
        command,
        cwd=scratch,
        env={
            **inherited,
            **lab.environment,
            **variables,
            "AWS_ACCESS_KEY_ID": "AKIABENCH",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "HOME": scratch,
            "COVALENT_AWSBATCH_DIRECTORY": scratch,
            "S3_BUCKET_NAME": BUCKET,
            "COVALENT_TASK_FUNC_FILENAME": f"func-bench-{container['number']}.pkl",
            "RESULT_FILENAME": f"result-other-{container['number']}.pkl",
        },
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    shutil.rmtree(scratch)
    [line] = [line for line in done.stdout.splitlines() if line.startswith("first line after")]
    return float(line.rpartition(" ")[2])
