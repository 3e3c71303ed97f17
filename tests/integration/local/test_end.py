"""The end of the embedded AWS: nothing of it remains.

Each test runs one in a process of its own, since there can be one at a time in a process.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.processes import DEADLINE, is_alive, poll

pytest.importorskip("moto.server")


def read(file: Path) -> str:
    """Waits until something stands in a file."""
    return poll(lambda: file.read_text().strip() if file.exists() else None, f"something in {file}")


_HOLDER = """
import signal, sys, threading
from pathlib import Path
from covalent_awsbatch_plugin.local import LocalAWS
# A shell's background job, such as a test run, inherits SIGINT ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
aws = LocalAWS(stop_grace=1.0)
aws.start()
batch = aws.client("batch")
batch.register_job_definition(jobDefinitionName="d", type="container", containerProperties={
    "image": "i", "vcpus": 1, "memory": 128,
    "command": ["sh", "-c", "sleep 60 & echo $! > %(child)s; echo $$ > %(job)s; wait"]})
batch.submit_job(jobName="held", jobQueue="covalent-batch-queue", jobDefinition="d")
Path("%(directory)s").write_text(str(Path(aws.options["credentials"]).parent))
%(then)s
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Callable[[str], tuple[subprocess.Popen[bytes], list[int], Path]]]:
    """Starts a program that runs an embedded AWS with one job; returns it, the job's processes, and its directory."""
    started: list[subprocess.Popen[bytes]] = []
    directories: list[Path] = []

    def start(then: str) -> tuple[subprocess.Popen[bytes], list[int], Path]:
        files = {name: tmp_path / name for name in ("child", "job", "directory")}
        program = subprocess.Popen([sys.executable, "-c", _HOLDER % {**files, "then": then}], start_new_session=True)
        started.append(program)
        directories.append(Path(read(files["directory"])))
        return program, [int(read(files["job"])), int(read(files["child"]))], directories[-1]

    yield start
    for program in started:
        program.kill()
        program.wait(DEADLINE)
    for directory in directories:  # which stays behind when the program is killed
        shutil.rmtree(directory, ignore_errors=True)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_no_process_outlives_it(holder: Any, number: signal.Signals) -> None:
    program, pids, directory = holder("threading.Event().wait(60)")
    program.send_signal(number)
    program.wait(DEADLINE)
    poll(lambda: not any(map(is_alive, pids)), "the end of the job's processes")
    if number == signal.SIGINT:
        assert not directory.exists()


def test_an_end_without_stop(holder: Any, tmp_path: Path) -> None:
    go = tmp_path / "go"
    program, pids, directory = holder(f"while not Path({str(go)!r}).exists(): threading.Event().wait(0.02)")
    go.touch()
    assert program.wait(DEADLINE) == 0
    assert not any(map(is_alive, pids))
    assert not directory.exists()


def test_stop_is_complete_and_repeatable() -> None:
    """Runs in a process of its own, with the limits as the service has them."""
    code = """
import os, sys
before = dict(os.environ)
from covalent_awsbatch_plugin.local import LocalAWS
import moto.batch.models, moto.batch.urls
original = moto.batch.models.Job, dict(moto.batch.urls.url_paths)
aws = LocalAWS(region="eu-central-1")
keys = set()
for _ in range(2):
    aws.start()
    keys |= {aws.environment["AWS_ACCESS_KEY_ID"], aws.environment["AWS_SECRET_ACCESS_KEY"]}
    batch = aws.client("batch")
    assert [b["Name"] for b in aws.client("s3").list_buckets()["Buckets"]] == ["covalent-batch-job-resources"]
    assert batch.meta.region_name == "eu-central-1"
    try:
        batch.register_job_definition(jobDefinitionName="d", type="container", timeout={"attemptDurationSeconds": 59},
                                      containerProperties={"image": "i", "vcpus": 1, "memory": 128})
    except batch.exceptions.ClientException as error:
        assert "60" in str(error)
    else:
        raise AssertionError("a short time limit was taken")
    port = aws.endpoint_url.rpartition(":")[2]
    aws.stop()
    aws.stop()
    try:
        aws.endpoint_url
    except RuntimeError:
        pass
    else:
        raise AssertionError("it still says where it is")
    aws = LocalAWS(port=int(port), region="eu-central-1")
assert len(keys) == 4, "those of another run count in none"
assert original == (moto.batch.models.Job, moto.batch.urls.url_paths)
assert before == dict(os.environ)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_without_the_extra_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['moto'] = None\n"
        "import covalent_awsbatch_plugin.local as local\n"
        "try: local.LocalAWS\n"
        "except ImportError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "pip install 'covalent-awsbatch-plugin[local]'" in done.stdout, done.stderr
