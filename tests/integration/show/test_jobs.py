"""`covalent-awsbatch jobs` of a queue with jobs of every kind, where no Covalent server is."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from lab import QUEUE, Lab, Queue, endings
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from support.covalent_client import dispatcher_at

from covalent_awsbatch_plugin.cli import main
from covalent_awsbatch_plugin.options.settings import DEFAULTS, Settings
from covalent_awsbatch_plugin.show import jobs
from covalent_awsbatch_plugin.task.connection import client

REASON = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is higher than …"
NOWHERE = 9
"""A port at which nothing answers."""
DISPATCH = "3f2a0000-0000-4000-8000-000000000000"


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Lab]:
    monkeypatch.setenv("COVALENT_DATABASE_URL", f"sqlite:///{tmp_path}/none.sqlite")
    kinds = {"*-1": endings.stuck(REASON), "*-2": endings.out_of_memory(), "*-3": endings.runs_for_ever()}
    with dispatcher_at(NOWHERE), Lab(endings=kinds) as running:
        batch = running.boto3("batch")
        container = {"image": "image:1", "vcpus": 1, "memory": 2048}
        batch.register_job_definition(jobDefinitionName="d", type="container", containerProperties=container)
        for node in (1, 2, 3):
            job = {"jobName": f"covalent-batch-{DISPATCH}-{node}", "jobQueue": QUEUE, "jobDefinition": "d"}
            batch.submit_job(**job)
        yield running


def options(lab: Lab) -> list[str]:
    places = ("endpoint_url", "credentials", "region")
    return [f"--queue={QUEUE}", *(f"--{name.replace('_', '-')}={lab.options[name]}" for name in places)]


def cell(title: str, header: str, line: str) -> str:
    """What stands in a line below a title."""
    return line[header.index(title) :].split("  ", maxsplit=1)[0]


def ask(lab: Lab, *arguments: str, **environment: Any) -> Result:
    return CliRunner().invoke(main, ["jobs", *options(lab), *arguments], env=environment)


@pytest.mark.parametrize("columns", [80, 120])
def test_each_job_is_one_line_with_its_reason(lab: Lab, columns: int) -> None:
    done = ask(lab, "--all", COLUMNS=str(columns))
    assert done.exit_code == 2, "no Covalent server tells who waits"
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["STATE", "AGE", "ELECTRON", "DISPATCH", "JOB", "WHY"]
    assert len(lines) == 4
    assert max(map(len, lines)) <= columns
    by_electron = {cell("ELECTRON", lines[0], line): line for line in lines[1:]}
    assert by_electron["node[1]"].startswith("RUNNABLE")
    assert by_electron["node[1]"].endswith("…")
    assert "another server's" in by_electron["node[3]"]
    assert by_electron["node[2]"].endswith("out of memory")
    for line in done.stderr.splitlines():
        assert len(line) <= columns, "messages are broken, too"


def test_the_jobs_of_each_queue_are_shown_that_a_task_may_go_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COVALENT_DATABASE_URL", f"sqlite:///{tmp_path}/none.sqlite")
    with dispatcher_at(NOWHERE), Lab(queues={QUEUE: Queue(), "other": Queue()}, job_seconds=60) as running:
        batch = running.boto3("batch")
        container = {"image": "image:1", "vcpus": 1, "memory": 2048}
        batch.register_job_definition(jobDefinitionName="d", type="container", containerProperties=container)
        for queue in ("other", QUEUE):
            batch.submit_job(jobName=f"covalent-batch-{DISPATCH}-1", jobQueue=queue, jobDefinition="d")
        settings = Settings(**{**DEFAULTS, **running.options, "retry_queues": ["other"]})
        shown = jobs.look(client(settings), settings, jobs.Flags())
        assert [row.job.id for row in shown.rows] == [job.id for job in running.jobs()]
        assert jobs.nothing(settings, jobs.Flags()).startswith(f"No live job in queue {QUEUE} or other, region")


def test_an_exception_is_the_reason_of_the_job_that_raised_it_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from covalent_dispatcher._db.models import Asset, Base, Electron, ElectronAsset, Job, Lattice

    url = f"sqlite+pysqlite:///{tmp_path / 'covalent.sqlite'}"
    monkeypatch.setenv("COVALENT_DATABASE_URL", url)
    with dispatcher_at(NOWHERE), Lab(endings={"*-1": endings.exited(137)}) as running:
        batch = running.boto3("batch")
        container = {"image": "image:1", "vcpus": 1, "memory": 2048}
        batch.register_job_definition(jobDefinitionName="d", type="container", containerProperties=container)
        job = {"jobName": f"covalent-batch-{DISPATCH}-1", "jobQueue": QUEUE, "jobDefinition": "d"}
        batch.submit_job(**job)
        running.choose("*-1", endings.exited(1))
        newest = batch.submit_job(**job)["jobId"]
        engine = create_engine(url)
        Base.metadata.create_all(engine)
        (tmp_path / "stderr.log").write_text(
            "Traceback (most recent call last):\n  in f\nOSError: no\n", encoding="utf-8"
        )
        with Session(engine) as session:
            counts = {"electron_num": 1, "completed_electron_num": 0}
            session.add(Lattice(id=1, dispatch_id=DISPATCH, name="workflow", status="FAILED", **counts))
            session.add(Job(id=1, job_handle=json.dumps(newest)))
            function = {"parent_lattice_id": 1, "type": "function", "task_group_id": 1, "status": "FAILED"}
            session.add(Electron(id=1, transport_graph_node_id=1, name="f", executor="awsbatch", job_id=1, **function))
            session.add(Asset(id=1, storage_type="file", storage_path=str(tmp_path), object_key="stderr.log"))
            session.add(ElectronAsset(meta_id=1, asset_id=1, key="stderr"))
            session.commit()
        engine.dispose()
        settings = Settings(**{**DEFAULTS, **running.options})
        rows = jobs.look(client(settings), settings, jobs.Flags(ended=True)).rows
        assert {row.job.id == newest: row.why for row in rows} == {False: "exit code 137", True: "OSError: no"}


def test_an_empty_queue_says_how_to_see_jobs_that_have_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COVALENT_DATABASE_URL", f"sqlite:///{tmp_path}/none.sqlite")
    with dispatcher_at(NOWHERE), Lab() as empty:
        assert "`covalent-awsbatch jobs --all`" in ask(empty).stdout
        assert "--all" not in ask(empty, "--all").stdout
        assert "--all" not in ask(empty, "--orphans").stdout


def test_wide_shows_all_and_a_program_reads_the_same(lab: Lab) -> None:
    wide = ask(lab, "--all", "--wide", COLUMNS="80").stdout
    assert "no compute environment of the queue can ever hold what the job asks for; lower `vcpu`" in wide
    assert wide.count(DISPATCH) == 3
    told = {job["label"]: job for job in json.loads(ask(lab, "--all", "--json").stdout)["jobs"]}
    assert told["node[2]"]["why"] == "out of memory"
    assert told["node[1]"]["id"] in wide
    assert (told["node[3]"]["status"], told["node[3]"]["verdict"]) == ("RUNNING", "foreign")


def test_an_id_of_the_table_is_one_for_the_other_commands(lab: Lab) -> None:
    header, row, *_ = ask(lab, "--all", COLUMNS="80").stdout.splitlines()
    for title in ("DISPATCH", "JOB"):
        short = cell(title, header, row)
        assert len(short) == 8
        done = CliRunner().invoke(main, ["why", short, "--json", *options(lab)])
        assert json.loads(done.stdout)["dispatch_id"] == DISPATCH


@pytest.mark.parametrize(
    ("environment", "is_coloured"),
    [({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False), ({}, False)],
)
def test_colours_are_the_users_choice(lab: Lab, environment: dict[str, str], is_coloured: bool) -> None:
    colours = {"FORCE_COLOR": None, "NO_COLOR": None, "TERM": "xterm", **environment}
    done = ask(lab, "--all", **colours)
    assert ("\x1b[3" in done.stdout) == is_coloured
    assert "\x1b[" not in done.stderr, "what is drawn anew is for terminals alone"


def test_what_changes_is_written_as_it_does(lab: Lab) -> None:
    command = [sys.executable, "-m", "covalent_awsbatch_plugin.cli", "jobs", "--watch"]
    with subprocess.Popen([*command, *options(lab)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as p:
        assert p.stdout is not None
        first = [p.stdout.readline().split()[0] for _ in range(3)]
        assert sorted(first) == ["RUNNABLE", "RUNNING", "STATE"]
        lab.end("*-3", endings.exited(3))
        assert p.stdout.readline().split()[:1] == ["FAILED"], "without a second header"
        p.send_signal(signal.SIGINT)
        assert p.wait(60) == 0


def test_watching_ends_nothing() -> None:
    done = CliRunner().invoke(main, ["jobs", "--watch", "--terminate"])
    assert "--watch only shows" in done.output
