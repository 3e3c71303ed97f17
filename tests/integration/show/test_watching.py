"""What `watch` shows of electrons whose jobs wait, run again, or have ended, and how a page of it looks."""

from __future__ import annotations

import io
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lab import Lab, endings
from lab.endings import STUCK, Ending
from rich.console import Console
from support.tasks import executor_of

from covalent_awsbatch_plugin.agreement.naming import PREVIOUS_JOB
from covalent_awsbatch_plugin.server import live
from covalent_awsbatch_plugin.server.database import Dispatch, Electron
from covalent_awsbatch_plugin.show.following import Following
from covalent_awsbatch_plugin.show.named import Named, Task
from covalent_awsbatch_plugin.show.watching.plain import Plain
from covalent_awsbatch_plugin.show.watching.states import Kind, Row, Snapshot, of_most, snapshot
from covalent_awsbatch_plugin.show.watching.terminal import Terminal
from covalent_awsbatch_plugin.task.connection import client

KEPT = {"stdout": Path("stdout.log")}
ID = "3f2a0000-0000-4000-8000-000000000000"


def followed(lab: Lab, electrons: list[Electron], status: str = "RUNNING") -> Following:
    """A dispatch with these electrons, whose jobs were asked about."""
    settings = executor_of(lab)._settings()
    named = Named(ID, family=(Dispatch(ID, "sweep", status, {one.node_id: one for one in electrons}),))
    tasks = [Task(one, f"{one.name}[{one.node_id}]", one.job_id) for one in electrons]
    following = Following(client(settings), settings, named, tasks, None, lambda _: None)
    following.look()
    return following


def submitted(lab: Lab, ending: Ending, **more: Any) -> str:
    """A job that comes to this."""
    name = f"job-{uuid.uuid4()}"
    lab.choose(name, ending)
    batch = lab.boto3("batch")
    image = {"image": "image:1", "vcpus": 1, "memory": 2048}
    batch.register_job_definition(jobDefinitionName="d", type="container", containerProperties=image)
    queue = lab.options["batch_queue"]
    return str(batch.submit_job(jobName=name, jobQueue=queue, jobDefinition="d", **more)["jobId"])


def electron(node: int, job_id: str = "", status: str = "RUNNING", **more: Any) -> Electron:
    return Electron(ID, node, more.pop("name", "train"), status, "awsbatch", job_id, files=KEPT, **more)


def rows_of(following: Following) -> dict[str, tuple[Kind, str]]:
    return {row.label: (row.kind, row.why) for row in snapshot(following).rows}


def test_a_job_that_waits_says_for_what_and_what_to_do(lab: Lab) -> None:
    waits = submitted(lab, endings.stuck(STUCK["resources"]))
    again = submitted(lab, endings.spot_reclaim(then=endings.runs_for_ever()), retryStrategy={"attempts": 3})
    over = submitted(lab, endings.succeed())
    lab.advance(600)
    long = electron(5, started_at=time.time() - 60)
    rows = rows_of(followed(lab, [electron(1, waits), electron(2, again), electron(3, over), electron(4), long]))
    kind, why = rows["train[1]"]
    assert kind is Kind.WAITING
    assert why.startswith("RUNNABLE: MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT")
    assert "lower `vcpu`, `memory` or `num_gpus`" in why
    assert rows["train[2]"] == (Kind.RUNNING, "attempt 2")
    assert rows["train[3]"] == (Kind.RUNNING, "its job is SUCCEEDED; its result is being fetched")
    assert rows["train[4]"] == (Kind.WAITING, "its job is being prepared and submitted")
    assert "packages that no job has had yet are packed first" in rows["train[5]"][1]


def test_an_electron_that_waits_for_its_environment_says_what_is_done(lab: Lab, tmp_path: Path) -> None:
    said = tmp_path / "stderr.log"
    said.write_text(f"a line\n{live.WAITS}packing 54 packages; uploading, 1 of 2 MB (12 s)\n")
    rows = rows_of(followed(lab, [replace(electron(1), files={"stderr": said})]))
    assert rows["train[1]"] == (Kind.WAITING, "packing 54 packages; uploading, 1 of 2 MB")


def test_the_attempts_of_earlier_jobs_count(lab: Lab) -> None:
    def following(job_id: str) -> dict[str, Any]:
        return {"containerOverrides": {"environment": [{"name": PREVIOUS_JOB, "value": job_id}]}}

    first = submitted(lab, endings.spot_reclaim(), retryStrategy={"attempts": 2})
    second = submitted(lab, endings.runs_for_ever(), **following(first))
    forgotten = submitted(lab, endings.stuck(), **following(str(uuid.uuid4())))
    lab.advance(600)
    rows = rows_of(followed(lab, [electron(1, second), electron(2, forgotten)]))
    assert rows["train[1]"] == (Kind.RUNNING, "attempt 3")
    assert rows["train[2]"][1].startswith("attempt 2, RUNNABLE"), "of which there was one at least"


def test_what_has_no_job_is_known_from_covalent(lab: Lab) -> None:
    electrons = [
        electron(0, status="COMPLETED", name="load"),
        electron(1, status="NEW_OBJECT", arguments=(("table", "load[0]"),)),
        electron(2, status="NEW_OBJECT", arguments=(("a", "train[1]"), ("b", "train[3]"), ("c", "word"))),
        electron(3, status="CANCELLED"),
        electron(4, status="NEW_OBJECT", arguments=(("x", ":electron_list:[5]"),)),
        electron(5, status="NEW_OBJECT", name=":electron_list:"),
        Electron(ID, 6, "local", "RUNNING", "local", files=KEPT),
        electron(7, status="DISPATCHING", name="inner", sub_dispatch="other"),
    ]
    rows = rows_of(followed(lab, electrons))
    assert rows["train[1]"] == (Kind.WAITING, "is about to begin")
    assert rows["train[2]"] == (Kind.WAITING, "for train[1]")
    assert rows["train[3]"][0] is Kind.CANCELLED
    assert rows["train[4]"] == (Kind.WAITING, "for other electrons")
    assert rows["local[6]"] == (Kind.RUNNING, "on local")
    assert rows["inner[7]"] == (Kind.RUNNING, "its sublattice runs")
    assert not any(label.startswith(":electron_list:") for label in rows), "nobody wrote that one"
    ended = rows_of(followed(lab, electrons, status="FAILED"))
    assert ended["train[1]"] == (Kind.NOT_BEGUN, "")


def test_a_reason_of_many_is_told_once_and_who_does_not_fit_is_counted() -> None:
    reason = "RUNNABLE: " + "word " * 20
    rows = tuple(Row(f"train[{number}]", Kind.WAITING, reason) for number in range(9))
    shown, left = of_most(rows, 3)
    assert [row.why for row in shown] == [reason, "the same", "the same"]
    assert left == "and 6 waiting"
    assert of_most(rows[:1], 3) == (rows[:1], "")


def seen(*rows: Row) -> Snapshot:
    return Snapshot(ID, "sweep", "RUNNING", rows, since=0.0)


@pytest.mark.parametrize("columns", [80, 120])
def test_a_table_fits_its_terminal_and_no_word_is_cut(columns: int) -> None:
    out = io.StringIO()
    console = Console(file=out, width=columns, height=30, force_terminal=True, color_system=None)
    reason = "RUNNABLE: MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - no machine can ever hold what the job asks for"
    terminal = Terminal(console)
    terminal.begin(ID)
    terminal.update(seen(Row("train[1]", Kind.WAITING, reason, 0.0)), [], [], ["AWS did not answer."])
    terminal.end(["It was cancelled."], failed=False)
    last = out.getvalue().rpartition("0 running")[2]
    words = " ".join(last.split())
    assert reason in " ".join(words.replace("◌", "").split())
    assert out.getvalue().count("AWS did not answer.") == 1
    assert max(len(line.rstrip()) for line in last.splitlines()) <= columns


def test_lines_in_a_file_are_only_what_has_changed(capsys: pytest.CaptureFixture[str]) -> None:
    plain = Plain()
    waits, runs = Row("f[1]", Kind.WAITING, "for g[0]"), Row("g[0]", Kind.RUNNING, "", 1.0)
    plain.update(seen(runs, waits), [], [], ["one problem"])
    plain.update(seen(runs, waits), [], [], ["one problem"])
    plain.update(seen(Row("g[0]", Kind.DONE, "", 1.0, 134.0), waits), [], [], ["one problem"])
    out, err = capsys.readouterr()
    assert out.splitlines()[1:] == ["g[0] running", "g[0] done in 2m 13s"]
    assert err.count("one problem") == 1
