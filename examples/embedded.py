"""Runs an example on an embedded AWS and a Covalent server of its own: `python examples/embedded.py examples/svm`."""

from __future__ import annotations

import argparse
import runpy
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from covalent_awsbatch_plugin.local import LocalAWS
from covalent_awsbatch_plugin.local.covalent_server import CovalentServer

TIMEOUT = 600.0
"""Seconds that an example may take."""

EXECUTE = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], 4)
nbclient.NotebookClient(notebook, timeout=600, record_timing=False).execute()
nbformat.write(notebook, sys.argv[1])
"""
"""Runs a notebook and writes its outputs into it."""


def prepared(folder: Path, aws: LocalAWS) -> dict[str, Any]:
    """What the executor is told, after `prepare.py` of the folder, if it has one, has made what the example needs."""
    more = runpy.run_path(str(folder / "prepare.py"))["prepare"](aws) if (folder / "prepare.py").exists() else {}
    # The default of ten seconds suits jobs of minutes.
    return {**aws.options, "poll_freq": 1, **more}


def command(folder: Path, arguments: list[str]) -> list[str]:
    """How the example is run: its script, or its notebook, whose outputs are written into it."""
    notebook = folder / "workflow.ipynb"
    if notebook.exists():
        return [sys.executable, "-c", EXECUTE, str(notebook)]
    return [sys.executable, str(folder / "workflow.py"), *arguments]


def main() -> int:
    """Runs the example; its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="what its workflow.py takes")
    given = parser.parse_args()
    folder = given.folder.resolve()
    began = time.monotonic()
    with LocalAWS() as aws:
        section = prepared(folder, aws)
        with CovalentServer(environment=aws.environment, config={"awsbatch": section}) as server:
            print(f"embedded AWS at {aws.endpoint_url}, Covalent at {server.url}", flush=True)
            done = subprocess.run(
                command(folder, given.arguments), env=server.environment, cwd=folder, timeout=TIMEOUT, check=False
            )
            states = [job.status for job in aws.jobs()]
    counted = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
    print(f"jobs: {counted}; {time.monotonic() - began:.0f} s in all")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
