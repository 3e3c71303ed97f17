"""What a server remembers of cancellations: no more than it needs, however long it runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import json, signal

from covalent_awsbatch_plugin import awsbatch  # imports Covalent in the right order
from covalent_dispatcher._db.datastore import DataStore, workflow_db
from covalent_dispatcher._db.models import Lattice
from covalent_awsbatch_plugin.server import shutdown

class Server:  # as uvicorn's, to which the handler of SIGINT belongs
    should_exit = False

    def handle_exit(self, *_):
        pass

signal.signal(signal.SIGINT, Server().handle_exit)
DataStore.factory().run_migrations(logging_enabled=False)
states = {"running": "RUNNING", **{f"ended-{number}": "COMPLETED" for number in range(1000)}}
with workflow_db.session() as session:
    for dispatch, status in states.items():
        session.add(Lattice(dispatch_id=dispatch, name="n", status=status, electron_num=1, completed_electron_num=0))
most = 0
for dispatch in states:
    shutdown.note_cancellation(dispatch, 3)
    most = max(most, len(shutdown._cancelled))
print(json.dumps([most, shutdown.keep("running", 3), shutdown.keep("running", 4)]))
"""


def test_cancellations_of_dispatches_that_have_ended_are_forgotten(tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    most, keeps_cancelled, keeps_other = json.loads(done.stdout.splitlines()[-1])
    assert most <= 257
    assert (keeps_cancelled, keeps_other) == (False, True)
