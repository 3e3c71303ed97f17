"""What the embedded AWS in the foreground shows of jobs: by the names of their functions."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from covalent_awsbatch_plugin.local.progress import Progress, job_table
from covalent_awsbatch_plugin.local.summary import JobSummary

DISPATCH = "3f2a0000-0000-4000-8000-000000000000"
REASON = " ".join(f"word-{number}" for number in range(20))


def job(name: str, status: str = "RUNNING") -> JobSummary:
    return JobSummary(name, f"9b1c0000-{name}", status, 1, 0, 1000, 2500, 3, REASON, 1.0)


def test_functions_are_named_and_lines_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from covalent_dispatcher._db.models import Base, Electron, Job, Lattice

    url = f"sqlite+pysqlite:///{tmp_path / 'covalent.sqlite'}"
    monkeypatch.setenv("COVALENT_DATABASE_URL", url)
    engine = create_engine(url)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        counts = {"electron_num": 1, "completed_electron_num": 0}
        session.add(Lattice(id=1, dispatch_id=DISPATCH, name="workflow", status="RUNNING", **counts))
        node = {"transport_graph_node_id": 3, "task_group_id": 3, "name": "train", "status": "RUNNING"}
        session.add_all([Job(id=1), Electron(id=1, parent_lattice_id=1, type="function", job_id=1, **node)])
        session.commit()
    engine.dispose()
    file = io.StringIO()
    progress = Progress(Console(file=file, width=80, force_terminal=True, color_system=None, highlight=False))
    jobs = [job(f"covalent-batch-{DISPATCH}-3"), job(f"covalent-batch-{DISPATCH}-4", "FAILED"), job("another")]
    progress.jobs(jobs)
    progress.jobs(jobs)
    progress.output("train[3]", "epoch 1\nepoch 2\n")
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert "RUNNING   train[3], job 9b1c0000, dispatch 3f2a0000" in lines[0]
    assert sum("train[3]" in line for line in lines) == 3, "a line once for a change, and two that it has printed"
    assert "node[4], job 9b1c0000" in "\n".join(lines), "which the database does not have"
    assert "another, job 9b1c0000" in "\n".join(lines)
    assert "exit code 3;" in " ".join(file.getvalue().split())
    assert REASON in " ".join(file.getvalue().split()), "broken between words"
    assert lines[-2:] == ["train[3] │ epoch 1", "train[3] │ epoch 2"]
    header, first, *_ = [line.plain for line in job_table(jobs, progress.names)]
    assert header.split() == ["STATE", "SECONDS", "EXIT", "JOB", "ELECTRON", "WHY"]
    assert first.split() == ["RUNNING", "1.5", "3", "9b1c0000", "train[3]"]
