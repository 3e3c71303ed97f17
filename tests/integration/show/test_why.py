"""`covalent-awsbatch why` and `logs` of a dispatch that Covalent's database has as failed, with AWS out of reach."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from covalent_awsbatch_plugin.cli import main

ID = "3f2a0000-0000-4000-8000-000000000000"
OTHER = "3f2a1111-0000-4000-8000-000000000000"
SUB = "5c5c0000-0000-4000-8000-000000000000"
JOB = "9b1c0000-0000-4000-8000-000000000000"
HOSTILE = "\x1b]0;it\x07\u202e[red]"
SHOWN = r"\x1b]0;it\x07\u202e[red]"
SENTENCE = f"Job {JOB} was killed because it took more memory than the 3.75 GB it had asked for; raise `memory`."
HANDLED = 'Traceback (most recent call last):\n  File "x.py", line 1, in f\nOSError: handled by the function\n'
LOG = "The last lines of its log:\n  Traceback (most recent call last):\n  ValueError: in the log\n"
WORDS = " ".join(f"word-{number}" for number in range(40))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where an electron's files lie, with the database beside it."""
    from covalent_dispatcher._db.models import Asset, Base, Electron, ElectronAsset, ElectronDependency, Job, Lattice

    url = f"sqlite+pysqlite:///{tmp_path / 'covalent.sqlite'}"
    monkeypatch.setenv("COVALENT_DATABASE_URL", url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET")
    engine = create_engine(url)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        for number, dispatch_id in enumerate((ID, OTHER), 1):
            counts = {"electron_num": 2, "completed_electron_num": 0}
            session.add(Lattice(id=number, dispatch_id=dispatch_id, name="workflow", status="FAILED", **counts))
        session.add(Lattice(id=3, dispatch_id=SUB, root_dispatch_id=OTHER, name="inner", status="FAILED", **counts))
        session.add_all([Job(id=1, job_handle=json.dumps(JOB)), Job(id=2)])
        of_both = {"parent_lattice_id": 1, "type": "function"}
        train = {"id": 1, "transport_graph_node_id": 0, "task_group_id": 0, "name": "train", "status": "FAILED"}
        value = {"id": 2, "transport_graph_node_id": 1, "task_group_id": 1, "status": "COMPLETED"}
        session.add(Electron(**of_both, **train, executor="awsbatch", job_id=1))
        session.add(Electron(**of_both, **value, name=f":parameter:{HOSTILE}{'x' * 90}", executor="local", job_id=2))
        session.add(ElectronDependency(electron_id=1, parent_electron_id=2, edge_name="rate", parameter_type="arg"))
        for number, key in enumerate(("stdout", "stderr"), 1):
            session.add(Asset(id=number, storage_type="file", storage_path=str(tmp_path), object_key=f"{key}.log"))
            session.add(ElectronAsset(meta_id=1, asset_id=number, key=key))
        session.commit()
    engine.dispose()
    (tmp_path / "stdout.log").write_text(f"{WORDS}\n    {HOSTILE}\n", encoding="utf-8")
    (tmp_path / "stderr.log").write_text(f"{HANDLED}{SENTENCE}\n{LOG}", encoding="utf-8")
    return tmp_path


def ask(*arguments: str, **environment: Any) -> Result:
    options = ["--endpoint-url", "http://127.0.0.1:9", "--region", "us-east-1"]
    return CliRunner().invoke(main, [*arguments, *options], env=environment, color=True)


@pytest.mark.usefixtures("place")
def test_a_job_that_did_not_survive_is_no_exception_that_the_function_handled() -> None:
    told = json.loads(ask("why", ID, "--json").stdout)
    (failure,) = told["failures"]
    assert (failure["sentence"], failure["traceback"], failure["attempts"]) == (SENTENCE, "", None)
    assert failure["arguments"].startswith(f"rate={SHOWN}")
    assert len(failure["arguments"]) == len("rate=") + 40
    (problem,) = told["problems"]
    assert "127.0.0.1" in problem


@pytest.mark.usefixtures("place")
def test_without_an_id_it_is_the_newest_dispatch_and_no_sublattice() -> None:
    assert json.loads(ask("why", "--json").stdout)["dispatch_id"] == OTHER
    assert f"dispatch {OTHER}" in ask("logs").stderr.splitlines()


def test_without_an_id_and_without_a_database_it_says_what_to_type(tmp_path: Path) -> None:
    there_is_none = ask("why", COVALENT_DATABASE_URL=f"sqlite+pysqlite:///{tmp_path / 'covalent.sqlite'}")
    assert (there_is_none.exit_code, there_is_none.stdout) == (2, "")
    assert "Type the beginning of its id" in there_is_none.stderr


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("columns", [80, 120])
def test_lines_are_broken_between_words_under_their_beginning(columns: int) -> None:
    done = ask("logs", ID, COLUMNS=str(columns))
    assert done.exit_code == 1, "CloudWatch Logs was not had"
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= columns
    assert lines[0].startswith("train[0] │ word-0 ")
    assert lines[1].startswith("         │ word-")
    assert " ".join(line.split("│ ")[1] for line in lines).startswith(WORDS)
    assert f"train[0] │     {SHOWN}" in lines, "its indent stays, and it does nothing to the terminal"


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("environment", "is_coloured"),
    [({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colours_are_the_users_choice(environment: dict[str, str], is_coloured: bool) -> None:
    colours = {"FORCE_COLOR": None, "NO_COLOR": None, "TERM": "xterm", "COLUMNS": "80", **environment}
    done = ask("logs", ID, **colours)
    assert ("\x1b[3" in done.stdout) == is_coloured


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("command", ["logs", "why"])
def test_a_beginning_that_several_have_is_refused_with_all_of_them(command: str) -> None:
    done = ask(command, "3f2a")
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"dispatch {ID}\n" in done.stderr
    assert f"dispatch {OTHER}\n" in done.stderr
    assert ask(command, JOB[:4]).exit_code == 1, "the job alone begins so"


@pytest.mark.usefixtures("place")
def test_of_each_electron_the_last_lines_are_shown() -> None:
    assert ask("logs", ID, "0", "--tail", "1").stdout == "train[0] │   ValueError: in the log\n"
    assert ask("why", OTHER).stdout == f"Dispatch {OTHER} is FAILED: no electron failed.\n"
