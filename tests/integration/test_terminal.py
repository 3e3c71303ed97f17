"""Names, states, reasons and messages that would do something to a terminal: where a person reads them, they do not."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import pickle
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from lab import Lab, endings
from rich.console import Console
from support import sts
from support.covalent_client import dispatcher_at
from support.servers import Answer, HttpServer, Request
from support.sts import profile
from support.tasks import executor_of

from covalent_awsbatch_plugin.cli import main
from covalent_awsbatch_plugin.errors import AWSBatchError, JobFailedError
from covalent_awsbatch_plugin.local.progress import Progress, job_table
from covalent_awsbatch_plugin.local.summary import JobSummary

HOSTILE = "\x1b]0;it\x07\x9b2J\u202e[red]"
"""Sets the title, clears the screen, turns the direction of reading round, and is markup of rich's."""

SHOWN = r"\x1b]0;it\x07\x9b2J\u202e[red]"
SHOWN_BY_THE_CORE = r"\u{1b}]0;it\u{7}\u{9b}2J\u{202e}[red]"


def is_harmless(output: str) -> bool:
    """Whether it has no control character but those of lines and of our own colours, and shows what was hostile."""
    rest = output
    for own in (*(f"\x1b[{number}m" for number in (0, 1, 2, 31, 32, 33, 36)), "\n"):
        rest = rest.replace(own, "")
    return rest.isprintable() and (SHOWN in rest or SHOWN_BY_THE_CORE in rest)


@pytest.fixture
def hostile() -> Iterator[HttpServer]:
    """AWS and a Covalent server, each of which says what would do something to a terminal."""

    def answer(request: Request) -> Answer:
        if request.path.endswith("/listjobs"):
            status = json.loads(request.body).get("jobStatus")
            name = f"covalent-batch-{HOSTILE}-3"
            job = {"jobId": HOSTILE, "jobName": name, "status": HOSTILE, "createdAt": 1}
            return Answer(json.dumps({"jobSummaryList": [job] if status in (None, "RUNNING") else []}).encode())
        if request.path.startswith("/api/v2/dispatches?"):
            return Answer(json.dumps({"dispatches": [{"dispatch_id": HOSTILE, "status": HOSTILE}]}).encode())
        if request.path.startswith("/api/v2/dispatches/"):
            nodes = [{"id": 3, "metadata": {"status": HOSTILE}}]
            return Answer(json.dumps({"lattice": {"transport_graph": {"nodes": nodes}}}).encode())
        if request.service == "sts":
            return sts.answer(request)
        body = {"message": HOSTILE, "Code": HOSTILE}
        return Answer(json.dumps(body).encode(), 400, {"x-amzn-errortype": "ClientException"})

    with HttpServer(answer) as server:
        yield server


@pytest.fixture
def options(hostile: HttpServer, tmp_path: Path) -> list[str]:
    """Options that point a command there."""
    credentials = tmp_path / "credentials"
    credentials.write_text(profile("default", "KEY"), encoding="utf-8")
    return ["--endpoint-url", hostile.url, "--credentials", str(credentials), "--region", "us-east-1"]


@pytest.fixture
def server(hostile: HttpServer) -> Iterator[None]:
    with dispatcher_at(hostile.port):
        yield


@pytest.mark.usefixtures("server")
def test_jobs(options: list[str]) -> None:
    shown = CliRunner().invoke(main, ["jobs", *options], color=True)
    assert is_harmless(shown.output), shown.output
    wide = CliRunner().invoke(main, ["jobs", "--wide", *options], color=True)
    assert wide.stdout.count(SHOWN) == 3  # id, state, dispatch
    as_json = CliRunner().invoke(main, ["jobs", "--json", *options], color=True)
    assert as_json.stdout.isascii()
    assert json.loads(as_json.stdout)["jobs"][0]["id"] == HOSTILE


def test_doctor(options: list[str]) -> None:
    shown = CliRunner().invoke(main, ["doctor", *options], color=True)
    assert is_harmless(shown.output), shown.output
    as_json = CliRunner().invoke(main, ["doctor", "--json", *options], color=True)
    assert as_json.stdout.isascii()
    assert json.loads(as_json.stdout)["checks"]


def test_deploy(tmp_path: Path) -> None:
    (tmp_path / f"{HOSTILE}.tf").touch()
    shown = CliRunner().invoke(main, ["deploy", "plan", "--directory", str(tmp_path)], color=True)
    assert shown.exit_code == 1
    assert is_harmless(shown.output), shown.output


@pytest.mark.parametrize("is_terminal", [True, False])
def test_the_jobs_of_the_embedded_aws(is_terminal: bool) -> None:
    file = io.StringIO()
    progress = Progress(Console(file=file, force_terminal=is_terminal, width=600, color_system="standard"))
    job = JobSummary(HOSTILE, "id", "FAILED", 1, 0, 1000, 2000, 1, f"{HOSTILE}\n", 1.0)
    progress.jobs([job])
    progress.line("electron", HOSTILE, HOSTILE)
    progress.text(HOSTILE)
    progress.output(HOSTILE, f"{HOSTILE}\n")
    for line in job_table([job], progress.names):
        progress.console.print(line, soft_wrap=True)
    assert is_harmless(file.getvalue()), file.getvalue()
    assert file.getvalue().count(SHOWN) == 9


def test_records_and_errors(caplog: pytest.LogCaptureFixture) -> None:
    """Batch says why a job waits: that is logged, and stands in the error in the end."""
    with Lab(endings={"*": endings.stuck(HOSTILE)}) as lab, caplog.at_level(logging.INFO):
        executor = executor_of(lab)
        executor.runnable_timeout = 2.5
        executor._task_stderr = io.StringIO()
        metadata = {"dispatch_id": str(uuid.uuid4()), "node_id": 0}
        with pytest.raises(JobFailedError) as caught:
            asyncio.run(executor.run(len, ["x"], {}, metadata))
    (line,) = [message for message in caplog.messages if " waits: " in message]
    for text in (line, str(caught.value), caught.value.message, executor._task_stderr.getvalue()):
        assert is_harmless(text), text
    assert caught.value.details["status_reason"] == HOSTILE


@pytest.mark.parametrize("kind", [AWSBatchError, *AWSBatchError.__subclasses__()])
def test_an_error_is_printable_and_stays_so(kind: Any) -> None:
    error = kind(f"first\n  {HOSTILE}\udce9", code=HOSTILE)
    assert str(error) == error.message == rf"first{chr(10)}  {SHOWN}\udce9"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.message, again.code) == (kind, error.message, HOSTILE)
