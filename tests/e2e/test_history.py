"""A real Covalent server under whatever may happen to it and to AWS: the history has no contradiction.

`HISTORY_SEED` draws the schedule; `make soak` runs twenty of them.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from pprint import pformat
from random import Random
from typing import Any

import covalent as ct
import pytest
from lab import Lab, faults
from support.covalent_client import Client, client_of, jobs_command
from support.disturbances import Disturbances, paused
from support.history import COVALENT_ENDED, Electron, History, Sweep
from support.invariants import NOT_BEGUN, violations
from support.observer import Observer
from support.proxy import Proxy
from support.schedule import ENDINGS, ENDLESS, Event, Schedule, Step, drawn

from covalent_awsbatch_plugin.local.covalent_server import CovalentServer

SEED = int(os.environ.get("HISTORY_SEED", "2"))
QUICK = {"poll_freq": 1, "retry_attempts": 3, "time_limit": 1000}


def lattice_of(steps: tuple[Step, ...]) -> Any:
    """A workflow of these steps, which returns the last one's result."""

    # Inside, so that they are pickled whole: the server cannot import this module.
    def in_a_job(*_: Any) -> None:
        """What the jobs would run, if they ran anything."""

    def in_the_server(*_: Any) -> None:
        time.sleep(1)

    def electron_of(step: Step) -> Any:
        function, executor = (in_the_server, "local") if step.local else (in_a_job, "awsbatch")
        return ct.electron(function, executor=executor)

    electrons = list(map(electron_of, steps))

    @ct.lattice(executor="local", workflow_executor="local")
    def workflow() -> Any:
        results: list[Any] = []
        for step, electron in zip(steps, electrons, strict=True):
            results.append(electron() if step.parent is None else electron(results[step.parent]))
        return results[-1]

    return workflow


class Run:
    """A schedule as it happens.

    Args:
        schedule: What is to happen.
        server: Which is killed, stopped and paused.
        client: Of that server.
        observer: Watches.
    """

    def __init__(self, schedule: Schedule, server: CovalentServer, client: Client, observer: Observer) -> None:
        self.sweeps: list[Sweep] = []
        self.cancelled: set[Electron] = set()
        self._workflows = list(schedule.workflows)
        self._endings = schedule.endings
        self._server = server
        self._client = client
        self._observer = observer
        self._before: list[str] = []
        """Dispatches of servers that have ended."""

    def happen(self, event: Event) -> None:
        time.sleep(event.after)
        if event.kind == "dispatch":
            self.dispatch()
        elif event.kind == "pause_server":
            assert self._server.pid is not None
            paused(self._server.pid, event.seconds)
        elif event.kind in ("kill", "stop"):
            self._end_server(event)
        else:
            alive = self._alive()
            dispatch = alive[int(event.choice * len(alive))]
            electrons = sorted(self._observer.electrons(dispatch))
            chosen = [Random(event.choice).choice(electrons)] if event.kind == "cancel_electron" else []
            self._cancel(dispatch, *chosen)

    def _end_server(self, event: Event) -> None:
        """Ends the server, and has another one in its place that looks for orphans."""
        if event.choice < 0.8:
            self._begin_a_job()
        if event.kind == "stop":
            for dispatch in self._alive():
                self.cancelled.update(self._observer.electrons(dispatch))
        getattr(self._server, event.kind)()
        self._before = list(self._observer.dispatches)
        self._server.start()
        self.dispatch()
        self.sweep()

    def dispatch(self) -> None:
        """Dispatches the next workflow."""
        self._observer.dispatches.append(self._client.dispatch(lattice_of(self._workflows.pop(0))))

    def _begin_a_job(self) -> None:
        """Dispatches the next workflow and waits until it has a job, so that there is one to leave behind."""
        self.dispatch()
        dispatch = self._observer.dispatches[-1]
        self._client.until(lambda: any(dispatch in job.name for job in self._observer.jobs()), "a job", 60)

    def sweep(self) -> None:
        """Looks for orphans, and has them ended."""
        electrons: dict[Electron, str] = {}
        for dispatch in self._before:
            electrons |= self._observer.electrons(dispatch)
        names = {electron.job_name for electron in electrons}
        jobs = tuple(job for job in self._observer.jobs() if job.is_live and job.name in names)
        orphans = self._orphans()
        self.sweeps.append(Sweep(electrons, jobs, frozenset(orphans), self._observer.jobs()))

    def rest(self) -> None:
        """Lets everything end that can, and cancels what waits for jobs that run for ever."""

        def rests() -> bool:
            names = {job.name for job in self._observer.jobs() if job.is_live}
            rest = True
            for dispatch in self._alive():
                found = self._observer.electrons(dispatch)
                running = {electron for electron, status in found.items() if status not in COVALENT_ENDED | {NOT_BEGUN}}
                rest = rest and self._observer.status(dispatch) in COVALENT_ENDED
                if running and all(electron.job_name in names and self._is_endless(electron) for electron in running):
                    self._cancel(dispatch)
            return rest

        deadline = time.monotonic() + 90
        while not rests() and time.monotonic() < deadline:
            time.sleep(0.5)

    def _is_endless(self, electron: Electron) -> bool:
        return self._endings[electron.node] == ENDLESS

    def _alive(self) -> list[str]:
        return [dispatch for dispatch in self._observer.dispatches if dispatch not in self._before]

    def _cancel(self, dispatch: str, *electrons: Electron) -> None:
        """Has these electrons of a dispatch cancelled; all of them if none is given."""
        self.cancelled.update(electrons or self._observer.electrons(dispatch))
        ct.cancel(dispatch, [electron.node for electron in electrons])

    def _orphans(self) -> set[str]:
        """Ids of the jobs that `covalent-awsbatch jobs --orphans --terminate` names, asked until AWS answers."""
        named: set[str] = set()
        for _ in range(3):
            done = jobs_command(self._server, "--orphans", "--terminate", "--yes", "--json")
            if done.stdout:
                named |= {job["id"] for job in json.loads(done.stdout)["jobs"]}
            if done.returncode == 0:
                return named
        pytest.fail(f"three times without an answer: {done.stdout}{done.stderr}")


def kept(observer: Observer, name: str) -> dict[Electron, Any]:
    """What Covalent keeps of electrons under a name, such as `output` or `stderr`."""
    found = {}
    for dispatch in observer.dispatches:
        graph = ct.get_result(dispatch).lattice.transport_graph
        for electron in observer.electrons(dispatch):
            value = graph.get_node_value(electron.node, name)
            found[electron] = value.get_deserialized() if name == "output" and value is not None else value
    return found


@pytest.mark.timeout(400)
def test_the_history_has_no_contradiction(tmp_path: Path) -> None:
    schedule = drawn(SEED)
    print(f"HISTORY_SEED={SEED}\n{pformat(schedule)}")
    chosen = {f"covalent-batch-*-{node}": ENDINGS[name] for node, name in enumerate(schedule.endings)}
    with Lab(seed=SEED, endings=chosen, job_seconds=3) as lab, Proxy(lab.port) as proxy:
        disturbances = Disturbances(lab, proxy, faults.transient() if schedule.calls_fail else [])
        config = {"awsbatch": {**lab.options, **QUICK, "endpoint_url": proxy.url}}
        with (
            CovalentServer(lab.environment, config, tmp_path) as server,
            client_of(server) as client,
            Observer(server, lab) as observer,
            ThreadPoolExecutor(1) as pool,
        ):
            run = Run(schedule, server, client, observer)
            run.dispatch()
            run.dispatch()
            enduring = pool.submit(disturbances.endure, schedule.network)
            for event in schedule.server:
                run.happen(event)
            enduring.result()
            disturbances.clear()
            run.rest()
            run.sweep()
            statuses = {dispatch: observer.status(dispatch) for dispatch in observer.dispatches}
            last, struck = observer.look(), dict(lab.struck)
            outputs, errors = kept(observer, "output"), kept(observer, "stderr")
    observations = (*observer.observations, last)
    history = History(
        frozenset(observer.local), observations, tuple(run.sweeps), statuses, outputs, frozenset(run.cancelled)
    )
    ended = Counter(last.electrons.values())
    print(f"electrons: {dict(ended)}; jobs: {len(last.jobs)}; orphans: {len(history.orphans)}; struck: {struck}")
    contradictions = violations(history)
    if contradictions:
        said = {electron: error for electron, error in errors.items() if error}
        print(f"{pformat(last)}\n{pformat(run.sweeps)}\n{pformat(said)}")
    assert not contradictions, "\n".join(contradictions)
