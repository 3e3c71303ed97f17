"""Starting up: importing the plugin, making an executor, and the program in the container."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from lab import BUCKET, Lab

from .environments import PLACE, Plugin
from .measuring import environment

_KEY, _RESULT = "func-bench-0.pkl", "result-bench-0.pkl"

# What Covalent itself imports at its start stands before the clock: the executors that it brings.
_IMPORT = """
import time
import covalent
import covalent.executor.executor_plugins.dask
import covalent.executor.executor_plugins.local
import covalent.executor.executor_plugins.remote_executor
start = time.perf_counter()
import covalent_awsbatch_plugin.awsbatch
print(time.perf_counter() - start)
"""

_CONSTRUCT = """
import timeit
from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
options = {"region": "eu-west-1", "s3_bucket_name": "bkt", "batch_queue": "q", "vcpu": 4, "memory": 8, "poll_freq": 5}
AWSBatchExecutor(**options)
print(min(timeit.repeat(lambda: AWSBatchExecutor(**options), number=200, repeat=10)) / 200)
"""

# Pickled by value, since it stands in the main program; wrapped as Covalent wraps it.
_TASK = """
import functools, sys
import cloudpickle
from covalent._workflow.transport import TransportableObject
from covalent.executor.utils.wrappers import wrapper_fn

def first_line(value):
    import time
    print("first line at", time.monotonic(), flush=True)
    return value

call = functools.partial(wrapper_fn, TransportableObject(first_line), [], [])
sys.stdout.buffer.write(cloudpickle.dumps((call, [TransportableObject(1)], {})))
"""

# The public image's program works in /covalent, which is redirected to the current directory.
LAUNCHER = """
import os, runpy, sys

join = os.path.join
os.path.join = lambda path, *rest: join(os.getcwd() if path == "/covalent" else path, *rest)
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def import_seconds(plugin: Plugin, repeats: int) -> float:
    """Importing the plugin's module on top of Covalent: the best of several processes."""
    return min(_printed(plugin, _IMPORT, COVALENT_PLUGIN_LOAD="false") for _ in range(repeats))


def construct_seconds(plugin: Plugin) -> float:
    """Making an executor."""
    return _printed(plugin, _CONSTRUCT)


def container_seconds(ours: Plugin, common: Path, repeats: int) -> tuple[float, float]:
    """From the start of the process to the first line of the function, with our runner and the public image's program.

    Args:
        ours: Whose runner is started.
        common: Interpreter of the environment that holds the public image's program.
        repeats: Of either, in turn; the best of each counts.
    """
    program = next(common.parents[1].glob("lib/python3.*/site-packages/covalent_aws_plugins/exec.py"))
    runner = [ours.python, "-m", "covalent_awsbatch_plugin.runner"]
    task = subprocess.run([common, "-c", _TASK], env=environment(ours), stdout=subprocess.PIPE, check=True).stdout
    with Lab() as lab:
        lab.plant(_KEY, task)
        seconds = [
            (_first_line(ours, lab, runner), _first_line(ours, lab, [common, "-c", LAUNCHER, program]))
            for _ in range(repeats)
        ]
    return min(first for first, _ in seconds), min(second for _, second in seconds)


def _first_line(plugin: Plugin, lab: Lab, program: list[str | Path]) -> float:
    scratch = tempfile.mkdtemp(prefix="container-", dir=PLACE)
    variables = {
        **environment(plugin),
        **lab.environment,
        "HOME": scratch,  # a container's is always new
        "COVALENT_PLUGIN_LOAD": "false",  # as the public image has it
        "S3_BUCKET_NAME": BUCKET,
        "COVALENT_TASK_FUNC_FILENAME": _KEY,
        "RESULT_FILENAME": _RESULT,
    }
    try:
        start = time.monotonic()
        done = subprocess.run(program, cwd=scratch, env=variables, stdout=subprocess.PIPE, text=True, check=True)
        [line] = [line for line in done.stdout.splitlines() if line.startswith("first line at")]
        return float(line.rpartition(" ")[2]) - start
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _printed(plugin: Plugin, program: str, **variables: str) -> float:
    env = {**environment(plugin), **variables}
    done = subprocess.run([plugin.python, "-c", program], env=env, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.splitlines()[-1])
