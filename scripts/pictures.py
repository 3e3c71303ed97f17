"""Takes the picture of the terminal that the README shows: `make pictures`, which writes docs/pictures/terminal.svg.

A workflow with a task that fails runs on an embedded AWS and a Covalent server of its own; shown is what the commands
say of it, in the colours that a terminal has.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
from pathlib import Path

from rich.console import Console
from rich.text import Text

from covalent_awsbatch_plugin.local import LocalAWS
from covalent_awsbatch_plugin.local.covalent_server import CovalentServer

PICTURE = Path(__file__).resolve().parents[1] / "docs/pictures/terminal.svg"
"""What is written."""

WIDTH = 90
"""Columns of the terminal."""

WORKFLOW = """\
import covalent as ct
from covalent_awsbatch_plugin import AWSBatchExecutor

executor = AWSBatchExecutor(vcpu=1, memory=2, retry_attempts=1)


@ct.electron(executor=executor)
def train(rate):
    loss = 1.0
    for epoch in range(1, 4):
        loss *= rate / (2 * (1 - rate))
        print(f"epoch {epoch}: loss={loss:.3f}")
    return loss


@ct.lattice
def search():
    return [train(rate) for rate in (0.5, 0.8, 1.0)]


dispatch_id = ct.dispatch(search)()
ct.get_result(dispatch_id, wait=True)
print(dispatch_id)
"""
"""The workflow."""

_CURSOR = re.compile(r"\x1b\[\??[0-9;]*[A-LSTfhlsu]|\r")
_SPINNER = re.compile(r"^.*[\u2800-\u28ff].*$\n?", re.MULTILINE)


def said(server: CovalentServer, *words: str) -> Text:
    """A command with its prompt, and what it says in a terminal."""
    done = subprocess.run(
        ["covalent-awsbatch", *words],
        env={**server.environment, "FORCE_COLOR": "1", "COLUMNS": str(WIDTH), "TERM": "xterm-256color"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    shown = _SPINNER.sub("", _CURSOR.sub("", done.stdout)).strip("\n")
    return Text.assemble(
        ("$ ", "bold green"), (f"covalent-awsbatch {' '.join(words)}\n", "bold"), Text.from_ansi(shown), "\n"
    )


def main() -> None:
    """Runs the workflow and takes the picture."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    with LocalAWS() as aws:
        section = {**aws.options, "poll_freq": 1}
        with CovalentServer(environment=aws.environment, config={"awsbatch": section}) as server:
            done = server.run_script(WORKFLOW, timeout=600)
            if done.returncode:
                raise SystemExit(done.stdout + done.stderr)
            dispatch = done.stdout.splitlines()[-1][:8]
            for words in (["logs", dispatch, "0"], ["why", dispatch]):
                console.print(said(server, *words), soft_wrap=True)
    svg = console.export_svg(title="why a task failed", unique_id="terminal")
    # Its font comes from elsewhere; a page of a terminal needs none.
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    PICTURE.write_text(svg + ("" if svg.endswith(os.linesep) else os.linesep), encoding="utf-8")
    print(f"{PICTURE.name}: look at it before it is committed")


if __name__ == "__main__":
    main()
