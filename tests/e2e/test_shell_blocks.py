"""The commands of the pages run as printed, where a dispatch has failed on a real server beside an embedded AWS."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import covalent as ct
import pytest
from support import shell_commands
from support.covalent_client import client_of, until_line
from support.documentation import BLOCKS, blocks
from support.paths import ROOT

from covalent_awsbatch_plugin.local import LocalAWS
from covalent_awsbatch_plugin.local.covalent_server import CovalentServer

BIN = Path(sys.executable).parent

# What does not run in `test_a_command_of_the_pages_works`, by how a command begins, and the test that runs it. Programs
# of others that need an account have none.
ELSEWHERE = {
    "aws ": "",
    "cd ": "",
    "eksctl ": "",
    "kubectl ": "",
    "terraform ": "",
    "covalent start": "tests/e2e/test_shell_blocks.py::test_the_first_steps",
    "covalent-awsbatch completion": "tests/unit/test_cli_options.py::test_the_script_of_a_shell_calls_the_program",
    "covalent-awsbatch demo": "tests/e2e/test_shell_blocks.py::test_the_demo_can_be_looked_at",
    "covalent-awsbatch deploy": "tests/e2e/deploy/test_deploy.py::test_from_an_empty_account_to_a_workflow_and_back",
    "covalent-awsbatch jobs --watch": "tests/integration/show/test_jobs.py::test_what_changes_is_written_as_it_does",
    "covalent-awsbatch local": "tests/e2e/test_shell_blocks.py::test_the_first_steps",
    "make ": "tests/e2e/test_wheel.py::test_the_wheel_is_whole",
    "pip install": "tests/e2e/test_wheel.py::test_an_empty_environment_gets_a_working_executor",
    "python examples/": "tests/e2e/test_examples.py",
}


def here() -> list[str]:
    """The commands that run here, in the order of the pages, each once."""
    shell = [block for block in BLOCKS if block.language in {"sh", "shell", "bash", "console"}]
    found = dict.fromkeys(shlex.join(words) for block in shell for words in shell_commands.commands(block.text))
    return [command for command in found if not command.startswith(tuple(ELSEWHERE))]


@ct.electron(executor="awsbatch")
def fails(rate: float) -> float:
    print("rate", rate)
    return 1 / rate


@ct.electron(executor="awsbatch")
def works(count: int) -> int:
    print("count", count)
    return count + 1


@ct.lattice(executor="local", workflow_executor="local")
def workflow(rate: float) -> float:
    return fails(rate) + works(1)


@dataclass(frozen=True)
class Stage:
    """Where the commands run.

    Attributes:
        server: A Covalent server beside an embedded AWS.
        names: What stands in place of the ids of the pages: those of a dispatch that has failed.
    """

    server: CovalentServer
    names: dict[str, str]

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Runs a command as a user does who answers every question with yes."""
        for name, value in self.names.items():
            command = re.sub(rf"\b{name}\b", value, command)
        return subprocess.run(
            shlex.split(command),
            env={**self.server.environment, "PATH": f"{BIN}:/usr/bin:/bin"},
            cwd=self.server.home,
            input="y\n" * 3,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage with default options and a dispatch of two electrons, of which the first has failed."""
    home = tmp_path_factory.mktemp("home")
    shutil.copy(ROOT / "python/covalent_awsbatch_plugin/show/report/prices.json", home)
    with (
        LocalAWS() as aws,
        CovalentServer(aws.environment, {"awsbatch": {**aws.options, "poll_freq": 1}}, home) as server,
        client_of(server) as client,
    ):
        dispatch_id = client.dispatch(workflow, 0)
        assert str(client.wait(dispatch_id).status) == "FAILED"
        job_id = next(job.id for job in aws.jobs() if job.name.startswith("fails") or dispatch_id in job.name)
        yield Stage(server, {"3f2a": dispatch_id[:8], "7a260701": dispatch_id[:8], "9b1c": job_id[:13], "3": "0"})


@pytest.mark.parametrize("command", here())
def test_a_command_of_the_pages_works(stage: Stage, command: str) -> None:
    done = stage.run(command)
    # The doctor's status is 2 where nothing is wrong, but no registry can be asked for the image.
    well = {0, 2} if command.startswith("covalent-awsbatch doctor") else {0}
    assert done.returncode in well, f"{done.stdout}\n{done.stderr}"
    assert done.stdout.strip()
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("test", sorted(filter(None, ELSEWHERE.values())))
def test_what_runs_elsewhere_has_its_test(test: str) -> None:
    file, _, name = test.partition("::")
    assert f"def {name}" in (ROOT / file).read_text(encoding="utf-8")


@contextmanager
def begun(home: Path, *command: str, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Runs a command until the context ends, which interrupts it as Ctrl-C does."""
    with subprocess.Popen(
        [BIN / command[0], *command[1:]],
        env={**environment, "PATH": f"{BIN}:/usr/bin:/bin", "PYTHONUNBUFFERED": "1"},
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)


@pytest.mark.timeout(600)
def test_the_demo_can_be_looked_at(tmp_path: Path) -> None:
    """`demo --keep`: the commands that it names work in another terminal, and an interruption ends all of it."""
    with begun(tmp_path, "covalent-awsbatch", "demo", "--keep", environment={"HOME": str(tmp_path)}) as demo:
        assert demo.stdout is not None
        until_line(demo.stdout, "In another terminal")
        named = until_line(demo.stdout, "covalent-awsbatch logs").split("\n")
        script = "\n".join(["set -e", *named])
        told = subprocess.run(
            ["sh", "-c", script], env={"PATH": f"{BIN}:/usr/bin:/bin"}, capture_output=True, text=True, timeout=60
        )
        assert told.returncode == 0, told
        assert "train_svm" in told.stdout
        assert "SUCCEEDED" in told.stdout
        demo.send_signal(signal.SIGINT)
        end = demo.stdout.read()
        assert demo.wait(60) == 0, end
    assert re.search(r"^score: 0\.[5-9]", end, re.MULTILINE), end
    assert "covalent-awsbatch deploy up" in end


@pytest.mark.timeout(600)
def test_the_first_steps(tmp_path: Path) -> None:
    """The way of docs/getting-started.md: an embedded AWS, Covalent's own server, a workflow, and its commands."""
    (tmp_path / "tmp").mkdir()
    environment = CovalentServer(home=tmp_path).environment  # which is never started itself
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = [BIN / "covalent", "start", "--port", str(port)]
    with begun(tmp_path, "covalent-awsbatch", "local", "--configure", environment=environment) as local:
        assert local.stdout is not None
        until_line(local.stdout, "Ctrl-C ends it.")
        try:
            subprocess.run(started, env=environment, cwd=tmp_path, check=True, capture_output=True, timeout=120)
            workflow = tmp_path / "workflow.py"
            workflow.write_text(blocks("docs/getting-started.md", "python")[0], encoding="utf-8")
            for command, wanted in (
                ("python workflow.py", "[0, 1, 4, 9]"),
                ("covalent-awsbatch logs", "│"),
                ("covalent-awsbatch jobs --all", "SUCCEEDED"),
            ):
                done = subprocess.run(
                    [BIN / command.split()[0], *command.split()[1:]],
                    env=environment,
                    cwd=tmp_path,
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=120,
                )
                assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
                assert wanted in done.stdout
        finally:
            subprocess.run([BIN / "covalent", "stop"], env=environment, cwd=tmp_path, check=False, timeout=60)
