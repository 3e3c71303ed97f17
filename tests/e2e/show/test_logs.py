"""`covalent-awsbatch logs` where a real Covalent server runs, with the embedded AWS."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import IO, Any

import pytest


def until(stream: IO[str], wanted: str) -> str:
    """Reads lines up to the wanted one."""
    read = ""
    for line in stream:
        read += line
        if wanted in line:
            return read
    pytest.fail(f"it ended without {wanted!r}:\n{read}")


def dispatched(asked: Any, failing: Any, gate: Path) -> str:
    """A dispatch whose first electron has failed, twice, and whose second one runs."""
    dispatch_id: str = asked.client.dispatch(failing, str(gate))
    asked.client.until(
        lambda: sorted(job.status for job in asked.aws.jobs() if dispatch_id in job.name) == ["FAILED", "RUNNING"],
        "one job to fail and the other to run",
    )
    return dispatch_id


def test_lines_come_as_they_are_written_and_attempts_are_told_apart(asked: Any, failing: Any, gate: Path) -> None:
    dispatch_id = dispatched(asked, failing, gate)
    (job,) = [job for job in asked.aws.jobs() if dispatch_id in job.name and job.status == "RUNNING"]
    with asked.begun("logs", job.id[:13], "--tail", "1", "--follow") as process:
        assert until(process.stdout, "epoch 1") == "runs[3] │ epoch 1: loss=0.300\n"
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 0
    assert f"`covalent-awsbatch logs {job.id[:13]} --follow` shows it again." in told
    with asked.begun("logs", dispatch_id[:8], "--follow") as process:
        threading.Thread(target=process.stderr.read, daemon=True).start()
        read = until(process.stdout, "epoch 1")
        assert process.poll() is None
        gate.touch()
        read += process.stdout.read()
        assert process.wait(60) == 0
    lines = [" ".join(line.split()) for line in read.splitlines()]
    for wanted in ("epoch 1: loss=0.300", "epoch 2: loss=0.200", "this is attempt 1", "this is attempt 2"):
        assert sum(wanted in line for line in lines) == 1, read
    assert "runs[3] │ epoch 2: loss=0.200" in lines, read
    assert "fails[0] attempt 1 │ this is attempt 1" in lines, read
    assert "fails[0] attempt 2 │ this is attempt 2" in lines, read


def test_a_program_reads_it_and_what_there_is_not_is_said(asked: Any, ended: str) -> None:
    said = [json.loads(line) for line in asked.command("logs", ended, "0", "--json").stdout.splitlines()]
    attempts = [(one["name"], one["attempt"], one["text"]) for one in said if "this is" in one["text"]]
    assert attempts == [("fails[0]", 1, "this is attempt 1"), ("fails[0]", 2, "this is attempt 2")]
    unknown = asked.command("logs", "zzzz")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "No dispatch and no job begins with 'zzzz'" in unknown.stderr
    node = asked.command("logs", ended, "77")
    assert node.returncode == 2
    assert f"Dispatch {ended} has no electron 77." in node.stderr
    without = asked.command("logs", ended, "0", "--endpoint-url", "http://127.0.0.1:9")
    assert without.returncode == 1, "AWS does not answer"
    assert "fails[0] │ this is attempt 2\n" in without.stdout, "Covalent keeps the last attempt's output"
    assert "127.0.0.1" in without.stderr


def test_without_a_server_what_runs_is_shown_all_the_same(asked: Any, failing: Any, gate: Path) -> None:
    dispatch_id = dispatched(asked, failing, gate)
    asked.server.kill()
    try:
        gate.touch()
        followed = asked.command("logs", dispatch_id, "--follow")
        assert followed.returncode == 1
        assert "epoch 2" in followed.stdout
        assert "nobody goes on with it" in followed.stderr
        assert "covalent-awsbatch resume" in followed.stderr
    finally:
        asked.server.start()
