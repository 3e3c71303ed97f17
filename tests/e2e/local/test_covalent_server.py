"""The Covalent server for trying and testing: it works, it keeps to its home, and nothing of it stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import covalent as ct
import psutil
import pytest
from support.covalent_client import Client

from covalent_awsbatch_plugin.local.covalent_server import CovalentServer

SCRIPT = """
import covalent as ct

@ct.electron
def double(x):
    return 2 * x

@ct.lattice
def workflow(x):
    return double(double(x))

dispatch_id = ct.dispatch(workflow)(10)
print(ct.get_result(dispatch_id, wait=True).result)
"""

OWNER = """
import sys
from covalent_awsbatch_plugin.local.covalent_server import CovalentServer

with CovalentServer() as server:
    print(server.run_script(sys.argv[1]).stdout.strip(), server.pid, server.home, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home directory for a process that owns a server."""
    directory = tmp_path / "home"
    directory.mkdir()
    return directory


@pytest.fixture
def owner(home: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that owns a server, until its standard input closes."""
    environment = {**os.environ, "HOME": str(home)}
    for name in [name for name in environment if name.startswith(("COVALENT_", "XDG_"))]:
        del environment[name]
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, SCRIPT], env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    yield process
    process.kill()
    process.wait()


def test_a_client_in_a_process_of_its_own_uses_the_default_executor(covalent_server: CovalentServer) -> None:
    done = covalent_server.run_script(SCRIPT)
    assert (done.returncode, done.stdout.strip()) == (0, "40"), done.stderr


def test_a_client_in_this_process(client: Client) -> None:
    @ct.electron
    def shout(word: str) -> str:
        print(f"heard {word}")
        return word.upper()

    @ct.lattice(executor="local")
    def workflow(word: str) -> str:
        return shout(word)  # type: ignore[no-any-return]

    result = client.run(workflow, "grüße")
    assert result.result == "GRÜSSE"
    assert client.node(result, "shout")["stdout"] == "heard grüße\n"


def test_configuration_reaches_the_server() -> None:
    with CovalentServer(config={"awsbatch": {"batch_queue": "mine"}}, environment={"COLOUR": "blue"}) as server:
        done = server.run_script(
            "import os, covalent as ct; print(ct.get_config('executors.awsbatch.batch_queue'), os.environ['COLOUR'])"
        )
        assert done.stdout.split() == ["mine", "blue"], done.stderr
        assert server.home.stat().st_mode & 0o777 == 0o700


def test_nothing_is_left_after_stop(owner: subprocess.Popen[str], home: Path) -> None:
    answer, pid, server_home = _facts(owner)
    assert answer == "40"
    assert _group(pid)
    assert owner.stdin is not None
    owner.stdin.close()
    assert owner.wait(20) == 0
    _until(lambda: not _group(pid))
    assert not server_home.exists()
    assert [str(path) for path in home.rglob("*")] == []


def test_the_server_dies_with_its_owner(owner: subprocess.Popen[str]) -> None:
    _, pid, server_home = _facts(owner)
    owner.send_signal(signal.SIGKILL)
    owner.wait(5)
    _until(lambda: not _group(pid))
    _until(lambda: not server_home.exists())


def test_dispatches_outlive_a_crash(tmp_path: Path) -> None:
    with CovalentServer(home=tmp_path / "home") as server:
        port = server.port
        dispatch_id = server.run_script(SCRIPT + "print(dispatch_id)").stdout.split()[1]
        server.kill()
        assert server.pid is None
        server.start()
        assert server.port == port
        done = server.run_script(f"import covalent as ct; print(ct.get_result('{dispatch_id}').result)")
        assert done.stdout.strip() == "40", done.stderr
    assert (tmp_path / "home/.cache/covalent/covalent_ui.log").exists()


def test_a_port_that_is_taken_is_left_alone(covalent_server: CovalentServer) -> None:
    second = CovalentServer()
    second.port = covalent_server.port
    with second:
        assert second.port != covalent_server.port


def test_a_server_that_cannot_start_says_why() -> None:
    server = CovalentServer(environment={"COVALENT_DATABASE_URL": "sqlite:////nowhere/at/all.sqlite"})
    with pytest.raises(RuntimeError, match=r"(?s)ended before it answered.*unable to open database file"):
        server.start()
    with pytest.raises(RuntimeError, match="no home directory"):
        _ = server.home


def _facts(owner: subprocess.Popen[str]) -> tuple[str, int, Path]:
    assert owner.stdout is not None
    answer, pid, home = owner.stdout.readline().split()
    return answer, int(pid), Path(home)


def _group(pgid: int) -> list[int]:
    """Living processes of a process group."""
    members = []
    for process in psutil.process_iter(["status"]):
        try:
            if process.info["status"] != psutil.STATUS_ZOMBIE and os.getpgid(process.pid) == pgid:
                members.append(process.pid)
        except ProcessLookupError:
            continue
    return members


def _until(condition: Callable[[], bool], timeout: float = 10) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
