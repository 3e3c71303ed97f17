"""`covalent-awsbatch logs` and `why` where a real Covalent server runs, with the embedded AWS."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from support.covalent_client import until_line

SENTENCE = "fails raised KeyError: 'rate 0.5'"
LINE = 'return table[f"{word} {rate}"]'


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
        assert until_line(process.stdout, "epoch 1") == "runs[3] │ epoch 1: loss=0.300\n"
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 0
    assert f"`covalent-awsbatch logs {job.id[:13]} --follow` shows it again." in " ".join(told.split())
    with asked.begun("logs", dispatch_id[:8], "--follow") as process:
        threading.Thread(target=process.stderr.read, daemon=True).start()
        read = until_line(process.stdout, "epoch 1")
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
    assert f"Dispatch {ended} has no electron 77; it has fails[0], runs[3]." in node.stderr
    without = asked.command("logs", ended, "0", "--endpoint-url", "http://127.0.0.1:9")
    assert without.returncode == 1, "AWS does not answer"
    assert "fails[0] │ this is attempt 2\n" in without.stdout, "Covalent keeps the last attempt's output"
    assert "127.0.0.1" in without.stderr
    elsewhere = asked.command("logs", ended[:8], "0", COVALENT_DATABASE_URL="sqlite:////nowhere/at-all.sqlite")
    assert elsewhere.returncode == 1
    assert "node[0] attempt 2 │ this is attempt 2\n" in elsewhere.stdout, "AWS has the jobs of every dispatch"
    assert "Only what AWS tells is known: Covalent's database cannot be read" in elsewhere.stderr


def test_a_failure_is_shown_with_the_source_that_the_container_did_not_have(asked: Any, ended: str) -> None:
    done = asked.command("why", ended[:8], "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["dispatch_id"], told["status"], told["problems"]) == (ended, "FAILED", [])
    (failure,) = told["failures"]
    assert failure["name"] == "fails[0]"
    assert failure["arguments"] == "rate=0.5, word=rate"
    assert failure["sentence"].startswith(SENTENCE)
    assert "The job failed in all 2 attempts" in failure["sentence"]
    assert failure["traceback"].splitlines()[-1].strip().startswith(LINE), failure["traceback"]
    assert "wrappers.py" not in failure["traceback"], "that is Covalent's own"
    (job,) = [job for job in asked.aws.jobs() if ended in job.name and job.status == "FAILED"]
    assert (failure["job_id"], failure["attempts"]) == (job.id, 2)
    assert failure["next"][0] == f"covalent-awsbatch logs {ended} 0"
    from_python = asked.server.run_script(
        f"import asyncio, covalent_awsbatch_plugin as ours\n"
        f"async def in_a_notebook(): return ours.explain({ended!r})\n"
        f"told = asyncio.run(in_a_notebook())\n"
        f"print(told.failures[0].sentence)\n"
        f"try: ours.explain('zzzz')\n"
        f"except LookupError as error: print(error)\n"
    )
    assert SENTENCE in from_python.stdout, from_python.stderr
    assert "No dispatch and no job begins with 'zzzz'" in from_python.stdout


@pytest.mark.parametrize("columns", [80, 120])
def test_a_page_fits_its_width_and_is_had_without_aws(asked: Any, ended: str, columns: int) -> None:
    done = asked.command("why", ended, "--endpoint-url", "http://127.0.0.1:9", COLUMNS=str(columns))
    assert done.returncode == 1, "how many attempts there were is not known"
    assert "127.0.0.1" in done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"Dispatch {ended} is FAILED: 1 electron failed."
    assert "fails[0](rate=0.5, word=rate)" in lines
    too_long = [line for line in lines if len(line) > columns]
    assert all(len(line.split()) == 1 or line.startswith('    File "') for line in too_long), too_long
    words = " ".join(" ".join(lines).split())
    assert SENTENCE in words
    assert LINE in words
    assert f'ct.redispatch("{ended}", reuse_previous_results=True)()' in words


def test_without_a_server_what_runs_is_shown_all_the_same(asked: Any, failing: Any, gate: Path) -> None:
    dispatch_id = dispatched(asked, failing, gate)
    asked.server.kill()
    try:
        gate.touch()
        followed = asked.command("logs", dispatch_id, "--follow")
        assert followed.returncode == 1
        assert "epoch 2" in followed.stdout
        told = " ".join(followed.stderr.split())
        assert "nobody goes on with it" in told
        assert "covalent-awsbatch resume" in told
    finally:
        asked.server.start()
