"""Whole workflows on a real Covalent server, whose jobs really run on the embedded AWS, with either plugin."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import toml

from covalent_awsbatch_plugin.local import LocalAWS

from .environments import PLACE, Plugin, common
from .startup import LAUNCHER

WORKFLOWS = ("basic", "fan of 12", "fan of 60", "sublattice", "svm")
"""What is measured, in this order, after one that only warms up."""

_START_SECONDS = 90
_SECONDS = 900

# What `covalent start --no-cluster --no-triggers` runs, in the foreground.
_SERVER = """
import importlib.util, os, runpy, sys
from pathlib import Path

program = Path(importlib.util.find_spec("covalent_ui").origin).with_name("app.py")
os.chdir(program.parent)
sys.path[0] = str(program.parent)
from covalent_dispatcher._db.datastore import DataStore
DataStore.factory().run_migrations(logging_enabled=False)
sys.argv = [str(program), "--port", sys.argv[1], "--no-cluster", "--no-triggers"]
runpy.run_path(str(program), run_name="__main__")
"""

_CLIENT = """
import json, sys, time
import covalent as ct

on = {"executor": "awsbatch"}

@ct.electron(**on)
def one(x):
    return x + 1

@ct.electron(**on)
def total(values):
    return sum(values)

@ct.electron(**on)
@ct.lattice(executor="awsbatch", workflow_executor="awsbatch")
def inner(x):
    return one(one(x))

@ct.electron(**on)
def train(c):
    from sklearn import datasets, svm
    x, y = datasets.load_iris(return_X_y=True)
    return svm.SVC(C=c).fit(x, y)

@ct.electron(**on)
def score(model):
    from sklearn import datasets
    return float(model.score(*datasets.load_iris(return_X_y=True)))

def lattice(function):
    return ct.lattice(function, executor="awsbatch", workflow_executor="awsbatch")

lattices = {
    "basic": lattice(lambda: one(1)),
    "fan of 12": lattice(lambda: total([one(number) for number in range(12)])),
    "fan of 60": lattice(lambda: total([one(number) for number in range(60)])),
    "sublattice": lattice(lambda: one(inner(1))),
    "svm": lattice(lambda: score(train(1.0))),
}
expected = {"basic": 2, "fan of 12": 78, "fan of 60": 1830, "sublattice": 4}

start = time.monotonic()
result = ct.get_result(ct.dispatch(lattices[sys.argv[1]])(), wait=True)
seconds = time.monotonic() - start
value = result.result
right = value > 0.9 if sys.argv[1] == "svm" else value == expected[sys.argv[1]]
if str(result.status) != "COMPLETED" or not right:
    sys.exit(f"{sys.argv[1]}: {result.status}, {value}, {result.error}")
print(json.dumps(seconds))
"""


@dataclass(frozen=True)
class Whole:
    """What a workflow took.

    Attributes:
        seconds: From its dispatch to its result in hand.
        cpu: Seconds of processor time of Covalent's server.
        jobs: How many jobs it made.
    """

    seconds: float
    cpu: float
    jobs: int


def measure(plugin: Plugin, workflows: Sequence[str] = WORKFLOWS) -> dict[str, Whole]:
    """Runs workflows one after the other on a server of their own.

    Args:
        plugin: Whose executor the server has.
        workflows: Some of `WORKFLOWS`.
    """
    image = next(common().parents[1].glob("lib/python3.*/site-packages/covalent_aws_plugins/exec.py"))
    ours = [str(plugin.python), "-m", "covalent_awsbatch_plugin.runner"]
    program = ours if plugin.name == "ours" else [str(common()), "-c", LAUNCHER, str(image)]
    found: dict[str, Whole] = {}
    with (
        LocalAWS(program=program, max_vcpus=os.cpu_count() or 1) as aws,
        tempfile.TemporaryDirectory(prefix="server-", dir=PLACE) as home,
    ):
        section = {"credentials": aws.options["credentials"], "container_image_uri": "team/jobs:1"}
        variables = {**aws.environment, "COVALENT_PLUGIN_LOAD": "true"}
        with server(plugin, Path(home), variables, {**section, "vcpu": 1, "poll_freq": 1}) as (process, environment):
            run(plugin, Path(home), environment, _CLIENT, "basic")
            for name in workflows:
                before, jobs = process.cpu_times(), len(aws.jobs())
                seconds = run(plugin, Path(home), environment, _CLIENT, name)
                after = process.cpu_times()
                cpu = after.user + after.system - before.user - before.system
                found[name] = Whole(seconds, cpu, len(aws.jobs()) - jobs)
    return found


@contextmanager
def server(
    plugin: Plugin, home: Path, variables: dict[str, str], section: dict[str, object]
) -> Iterator[tuple[psutil.Process, dict[str, str]]]:
    """A server with a home of its own, and the environment of its clients."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    place = {"address": "127.0.0.1", "port": port}
    path = home / ".config/covalent/covalent.conf"
    path.parent.mkdir(parents=True)
    executors = {"awsbatch": section}
    sdk = {"no_cluster": "true"}
    path.write_text(toml.dumps({"sdk": sdk, "dispatcher": place, "user_interface": place, "executors": executors}))
    foreign = ("COVALENT_", "XDG_", "AWS_", "PYTHON")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    environment = {**inherited, "HOME": str(home), **variables}
    with (home / "server.log").open("wb") as log:
        started = subprocess.Popen(
            [plugin.python, "-c", _SERVER, str(port)],
            env=environment,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait(f"http://127.0.0.1:{port}/api/v2/dispatches?count=1")
        yield psutil.Process(started.pid), environment
    finally:
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()


def _wait(url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not _answers(url):
        if time.monotonic() > deadline:
            raise TimeoutError(f"Covalent's server did not answer within {_START_SECONDS} s")
        time.sleep(0.2)


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except OSError:
        return False
    return True


def run(plugin: Plugin, home: Path, environment: dict[str, str], client: str, *arguments: str) -> float:
    """Runs a client's program, whose last line is a number, and returns that.

    Args:
        plugin: In whose environment.
        home: The server's home.
        environment: As `server` yields it.
        client: The program.
        arguments: What it is given.
    """
    script = home / "workflows.py"
    script.write_text(client)
    done = subprocess.run(
        [plugin.python, str(script), *arguments],
        env=environment,
        cwd=home,
        stdout=subprocess.PIPE,
        text=True,
        timeout=_SECONDS,
        check=True,
    )
    return float(json.loads(done.stdout.splitlines()[-1]))
