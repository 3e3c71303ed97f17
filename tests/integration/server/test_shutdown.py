"""What a server knows of cancellations and of its own end: no more than it needs, however long it runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

_SERVER = """
import json, signal, time

from covalent_awsbatch_plugin import awsbatch  # imports Covalent in the right order
from covalent_dispatcher._db.datastore import DataStore, workflow_db
from covalent_dispatcher._db.models import Electron, Job, Lattice
from covalent_awsbatch_plugin.server import shutdown, stops

class Server:  # as uvicorn's, to which the handler of SIGINT belongs
    should_exit = False

    def handle_exit(self, *_):
        pass

def begin(states):
    DataStore.factory().run_migrations(logging_enabled=False)
    with workflow_db.session() as session:
        for dispatch, status in states.items():
            row = Lattice(dispatch_id=dispatch, name="n", status=status, electron_num=1, completed_electron_num=0)
            session.add(row)

server = Server()
signal.signal(signal.SIGINT, server.handle_exit)
"""

_CANCELLATIONS = """
states = {"running": "RUNNING", **{f"ended-{number}": "COMPLETED" for number in range(1000)}}
begin(states)
most = 0
for dispatch in states:
    shutdown.note_cancellation(dispatch, 3)
    most = max(most, len(shutdown._cancelled))
print(json.dumps([most, shutdown.keep("running", 3), shutdown.keep("running", 4)]))
"""

_STOP = """
begin({"first": "RUNNING", "last": "RUNNING"})
before = shutdown.is_stopping()
server.should_exit = True
for dispatch in ("first", "last"):
    assert shutdown.is_stopping()
    shutdown.keep(dispatch, 0)
    time.sleep(0.01)
print(json.dumps([before, *(stops.read(dispatch).at.isoformat() for dispatch in ("first", "last"))]))
"""

_ABOUT_TO_BEGIN = """
import datetime

long_ago = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
begin({"stopped-before": "RUNNING", "killed-before": "RUNNING"})
with workflow_db.session() as session:
    for lattice in session.query(Lattice).all():
        lattice.started_at = long_ago
        job = Job(status="CANCELLED", job_handle='"job"', cancel_requested=True)
        session.add(job)
        session.flush()
        values = {"type": "function", "storage_type": "local", "transport_graph_node_id": 0, "task_group_id": 0}
        values |= {"name": "n", "status": "RUNNING", "executor": "awsbatch", "created_at": long_ago}
        session.add(Electron(parent_lattice_id=lattice.id, job_id=job.id, updated_at=long_ago, **values))
stops.note("stopped-before", [])
shutdown.is_server()
server.should_exit = True
for dispatch in ("stopped-before", "killed-before"):
    assert shutdown.is_stopping()
    shutdown.keep(dispatch, 1)
print(json.dumps([sorted(stops.read(dispatch).cancelled) for dispatch in ("stopped-before", "killed-before")]))
"""


def told(program: str, home: Path) -> Any:
    """What a program prints last, as a server with this home."""
    environment = {**os.environ, "HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", _SERVER + program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_cancellations_of_dispatches_that_have_ended_are_forgotten(tmp_path: Path) -> None:
    most, keeps_cancelled, keeps_other = told(_CANCELLATIONS, tmp_path)
    assert most <= 257
    assert (keeps_cancelled, keeps_other) == (False, True)


def test_a_server_stops_at_one_moment_for_all_its_dispatches(tmp_path: Path) -> None:
    """The last of many dispatches is asked about late, and what has ended since the stop began counts for none."""
    before, first, last = told(_STOP, tmp_path)
    assert before is False
    assert first == last


def test_what_an_earlier_stop_had_cancelled_is_not_taken_for_a_users_wish(tmp_path: Path) -> None:
    """Nobody went on with the dispatch between the two stops. After a kill, only a user can have cancelled it."""
    assert told(_ABOUT_TO_BEGIN, tmp_path) == [[], [["killed-before", 0]]]
