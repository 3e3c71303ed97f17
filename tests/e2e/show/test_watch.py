"""`watch`, as a command and in a notebook, where a real Covalent server runs, with the embedded AWS."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path
from typing import Any

import covalent as ct
import pytest
from support.covalent_client import until_line

from covalent_awsbatch_plugin.show.watching.ending import result_text


def good() -> Any:
    """A lattice with a sublattice, all of it made here: the server has no module of the tests."""

    @ct.electron(executor="awsbatch")
    def doubles(number: int) -> int:
        print("doubling", number, flush=True)
        return 2 * number

    @ct.electron(executor="local")
    @ct.lattice(executor="local", workflow_executor="local")
    def twice(number: int) -> Any:
        return doubles(number)

    @ct.lattice(executor="local", workflow_executor="local")
    def good(number: int) -> Any:
        return doubles(twice(number))

    return good


@pytest.fixture(scope="module")
def completed(asked: Any) -> str:
    """A dispatch that has ended well."""
    dispatch_id: str = asked.client.dispatch(good(), 5)
    asked.client.completed(dispatch_id)
    return dispatch_id


def test_states_and_prints_come_as_they_are_and_the_failure_at_the_end(asked: Any, failing: Any, gate: Path) -> None:
    dispatch_id = asked.client.dispatch(failing, str(gate))
    with asked.begun("watch", dispatch_id[:8]) as process:
        threading.Thread(target=process.stderr.read, daemon=True).start()
        read = until_line(process.stdout, "epoch 1: loss=0.300")
        if "runs[3] running" not in read:  # whichever of the two comes first
            read += until_line(process.stdout, "runs[3] running")
        gate.touch()
        read += process.stdout.read()
        assert process.wait(60) == 0
    lines = read.splitlines()
    assert lines[0].startswith(f"workflow {dispatch_id} RUNNING")
    assert any(line.startswith("runs[3] │ epoch 2") or "│ epoch 2" in line for line in lines), read
    assert any(line.startswith("fails[0] failed in ") for line in lines), read
    assert any(line.startswith("runs[3] done in ") for line in lines), read
    assert "fails[0](rate=0.5, word=rate) failed: fails raised KeyError: 'rate 0.5'" in lines, read
    assert lines[-1].endswith(f"covalent-awsbatch why {dispatch_id}")
    assert ":parameter:" not in read
    assert not any(line.startswith(":electron_list:") for line in lines), "nobody wrote that one"


def test_an_interrupt_says_how_to_come_back_and_changes_nothing(asked: Any, failing: Any, gate: Path) -> None:
    dispatch_id = asked.client.dispatch(failing, str(gate))
    with asked.begun("watch", dispatch_id) as process:
        until_line(process.stdout, "epoch 1")
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert f'To come back: covalent-awsbatch watch {dispatch_id}\nor in Python: watch("{dispatch_id}")\n' in told
    assert f'ct.cancel("{dispatch_id}")' in told
    assert asked.client.status(dispatch_id) == "RUNNING"
    script = asked.server.home / "watching.py"
    script.write_text(f"from covalent_awsbatch_plugin import watch\nwatch({dispatch_id!r})\n", encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, str(script)],
        env={**asked.server.environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        until_line(process.stdout, "epoch 1")
        process.send_signal(signal.SIGINT)
        told, error = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT, error
    assert f'ct.cancel("{dispatch_id}")' in told
    gate.touch()
    asked.client.wait(dispatch_id)


def test_what_has_ended_is_shown_with_its_result(asked: Any, completed: str) -> None:
    done = asked.command("watch", completed[:10])
    assert done.returncode == 0, done.stderr
    assert "Result: 20" in done.stdout.splitlines()
    assert any(line.split() == ["twice[0]/doubles[0]", "│", "doubling", "5"] for line in done.stdout.splitlines())
    assert "for other electrons" not in done.stdout
    unknown = asked.command("watch", "zzzz")
    assert unknown.returncode == 2
    assert "No dispatch and no job begins with 'zzzz'" in unknown.stderr


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_keeps_the_table_below_what_is_printed(asked: Any, ended: str, columns: int) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    environment = {name: value for name, value in asked.server.environment.items() if name != "NO_COLOR"}
    process = subprocess.Popen(
        [sys.executable, "-m", "covalent_awsbatch_plugin.cli", "watch", ended],
        env={**environment, "TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    read = b""
    try:
        while piece := os.read(ours, 65536):
            read += piece
    except OSError:
        pass  # the other side has closed it
    os.close(ours)
    assert process.wait(60) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", read.decode("utf-8")).replace("\r", "\n")
    frames = [line.rstrip() for line in text.split("\n")]
    assert any(re.fullmatch(r"✗ +fails\[0\] +failed \d+s", line) for line in frames), text
    assert any(line.startswith("0 running · 0 waiting · 1 done · 1 failed") for line in frames), text
    assert "KeyError: 'rate 0.5'" in text
    table = max(number for number, line in enumerate(frames) if "0 running" in line)
    assert max(number for number, line in enumerate(frames) if "│ this is attempt" in line) < table
    too_long = [line for line in frames if len(line) > columns and " " in line.strip() and "/" not in line]
    assert not too_long


def test_a_notebook_has_one_output_that_is_updated_in_place(asked: Any, completed: str) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    cells = ["from covalent_awsbatch_plugin import AWSBatchExecutor, watch", f"watch({completed!r})"]
    cells += ["AWSBatchExecutor(vcpu=4, environment={'TOKEN': '4711'})"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    before = dict(os.environ)
    os.environ.update(asked.server.environment)
    try:
        nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    finally:
        os.environ.clear()
        os.environ.update(before)
    (output,) = notebook.cells[1].outputs
    page, text = output["data"]["text/html"], output["data"]["text/plain"]
    for wanted in (f"good {completed} COMPLETED", "twice[0]/doubles[0]", "│ doubling 10", "Result: 20"):
        assert wanted in page
        assert wanted in text
    assert "<script" not in page, "a front end that trusts nobody shows it, too"
    (output,) = notebook.cells[2].outputs
    assert "given" in output["data"]["text/html"]
    assert output["data"]["text/plain"].startswith("AWSBatchExecutor(vcpu=4, environment={'TOKEN': ...}")
    assert "4711" not in output["data"]["text/html"]


def test_a_file_that_is_no_result_is_none(tmp_path: Path) -> None:
    path = tmp_path / "results.tobj"
    assert not result_text(None)
    assert not result_text(path)
    for content in (b"", b"\xff" * 16, b"\0" * 40):
        path.write_bytes(content)
        assert not result_text(path)
    stored = ct.TransportableObject("\x1b" + "ä" * 3000).serialize()
    path.write_bytes(stored)
    assert result_text(path).startswith("\\x1bä")
    assert len(result_text(path)) == 2001
