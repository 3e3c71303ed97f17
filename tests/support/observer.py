"""Looks at Covalent and AWS all the time, and takes down what they say."""

from __future__ import annotations

import http.client
import json
import threading
import time
from typing import Any

from lab import Lab
from lab.control import JobView

from covalent_awsbatch_plugin.local.covalent_server import CovalentServer

from .history import Electron, Job, Observation

_PAUSE = 0.3  # seconds between two looks
_PARAMETER = ":parameter:"


class Observer:
    """Takes down what is said of dispatches, in a `with` block.

    Args:
        server: Says it of electrons, as long as it answers.
        lab: Says it of jobs.

    Attributes:
        dispatches: Ids of the dispatches.
        observations: What was seen so far.
        local: Electrons without the executor.
    """

    def __init__(self, server: CovalentServer, lab: Lab) -> None:
        self.dispatches: list[str] = []
        self.observations: list[Observation] = []
        self.local: set[Electron] = set()
        self._server = server
        self._lab = lab
        self._beginning = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="observer", daemon=True)

    def __enter__(self) -> Observer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def look(self) -> Observation:
        """What both say now.

        Raises:
            OSError: The server does not answer.
            HTTPException: It breaks off.
        """
        seconds = time.monotonic() - self._beginning
        electrons = {
            electron: status
            for dispatch in list(self.dispatches)
            for electron, status in self.electrons(dispatch).items()
        }
        return Observation(seconds, electrons, self.jobs())

    def electrons(self, dispatch: str) -> dict[Electron, str]:
        """What Covalent says of a dispatch's electrons."""
        found = {}
        for node in self._manifest(dispatch)["lattice"]["transport_graph"]["nodes"]:
            metadata = node["metadata"]
            if metadata["name"].startswith(_PARAMETER):
                continue
            electron = Electron(dispatch, node["id"])
            found[electron] = metadata["status"]
            if metadata["executor"] != "awsbatch":
                self.local.add(electron)
        return found

    def status(self, dispatch: str) -> str:
        """What Covalent says of a dispatch."""
        return str(self._manifest(dispatch)["metadata"]["status"])

    def jobs(self) -> tuple[Job, ...]:
        """What AWS says of all jobs."""
        return tuple(map(_job, self._lab.jobs()))

    def _manifest(self, dispatch: str) -> Any:
        return json.loads(self._server.get(f"/api/v2/dispatches/{dispatch}"))

    def _watch(self) -> None:
        while not self._over.wait(_PAUSE):
            try:
                self.observations.append(self.look())
            except (OSError, http.client.HTTPException):  # it has been killed, or is stopped
                continue


def _job(view: JobView) -> Job:
    return Job(view.id, view.name, view.status, view.is_terminated)
