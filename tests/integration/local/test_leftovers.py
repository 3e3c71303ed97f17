"""What an embedded AWS that was killed leaves behind is put right when the next one starts, and nothing else is."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import toml
from support.accounts import next_until
from support.processes import DEADLINE

pytest.importorskip("moto.server")

from covalent_awsbatch_plugin.local.owner import Owner

# What of an embedded AWS touches the disk outside its own directory, without the AWS, which takes seconds to start.
_SHORT = """
import contextlib, signal, sys
from covalent_awsbatch_plugin.local.configuration import configured, runs_directory
from covalent_awsbatch_plugin.local.leftovers import clear
from covalent_awsbatch_plugin.local.run_directory import run_directory
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
clear()
with run_directory(), run_directory(runs_directory()) as own:
    options = {"region": sys.argv[1], "s3_bucket_name": "embedded", "credentials": str(own / "credentials")}
    (own / "credentials").touch(mode=0o600)
    with configured(options, own) if "--configure" in sys.argv else contextlib.nullcontext():
        print("Ctrl-C ends it.", flush=True)
        while True:
            signal.pause()
"""
BEFORE = {"executors": {"awsbatch": {"s3_bucket_name": "mine", "region": "us-west-2", "vcpu": 4}}}


@dataclass
class Machine:
    """A home and a directory for temporary files, and embedded AWSs of its user."""

    home: Path
    temporary: Path
    started: ExitStack

    def start(self, *options: str, region: str = "us-east-1", whole: bool = False) -> subprocess.Popen[str]:
        """Starts a run, which lasts until a test ends it: `covalent-awsbatch local`, or only what it leaves behind."""
        program = [str(Path(sys.executable).with_name("covalent-awsbatch")), "local", f"--region={region}"]
        process = subprocess.Popen(
            [*(program if whole else [sys.executable, "-c", _SHORT, region]), *options],
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(self.home),
                "TMPDIR": str(self.temporary),
                "PYTHONUNBUFFERED": "1",
            },
            stdout=subprocess.PIPE,
            text=True,
        )
        self.started.callback(process.wait, DEADLINE)
        self.started.callback(process.kill)
        assert process.stdout is not None
        assert "Ctrl-C ends it." in "".join(next_until(iter(process.stdout.readline, ""), "Ctrl-C ends it."))
        return process

    def end(self, process: subprocess.Popen[str]) -> None:
        """Ends one as Ctrl-C does."""
        process.terminate()
        assert process.wait(DEADLINE) == 0

    def kill(self, process: subprocess.Popen[str]) -> None:
        """Ends one in the middle of everything."""
        process.kill()
        process.wait(DEADLINE)

    @property
    def conf(self) -> Path:
        return self.home / ".config/covalent/covalent.conf"

    @property
    def content(self) -> dict[str, Any]:
        return toml.load(self.conf)

    @property
    def section(self) -> dict[str, Any]:
        return dict(self.content["executors"]["awsbatch"])

    @property
    def runs(self) -> set[Path]:
        """The directories of runs that there are, beside the configuration and among the temporary files."""
        return {*self.conf.parent.glob("awsbatch-local/*"), *self.temporary.glob("covalent-awsbatch-local-*")}


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "home", tmp_path / "temporary", ExitStack())
    machine.conf.parent.mkdir(parents=True)
    machine.temporary.mkdir()
    machine.conf.write_text(toml.dumps(BEFORE))
    with machine.started:
        yield machine


def test_what_stood_in_the_configuration_comes_back_at_the_next_start(machine: Machine) -> None:
    machine.kill(machine.start("--configure", whole=True))
    assert machine.section["s3_bucket_name"] == "covalent-batch-job-resources"
    assert machine.runs
    next_one = machine.start(whole=True)
    assert machine.content == BEFORE
    assert len(machine.runs) == 2, "those of the next one"
    machine.end(next_one)
    assert machine.runs == set()


def test_the_next_orderly_run_restores_what_was_there_before_both(machine: Machine) -> None:
    machine.kill(machine.start("--configure"))
    machine.kill(machine.start("--configure", region="eu-north-1"))
    last = machine.start("--configure")
    assert machine.section["region"] == "us-east-1"
    machine.end(last)
    assert machine.content == BEFORE
    assert machine.runs == set()


def test_a_configuration_that_was_not_there_goes(machine: Machine) -> None:
    machine.conf.unlink()
    machine.kill(machine.start("--configure"))
    assert machine.conf.exists()
    machine.end(machine.start("--configure"))
    assert not machine.conf.exists()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["the first ends first", "the second ends first"])
@pytest.mark.parametrize("killed", [None, 0, 1], ids=["both in order", "the first is killed", "the second is killed"])
def test_of_two_runs_the_one_that_lives_is_not_disturbed(
    machine: Machine, order: tuple[int, int], killed: int | None
) -> None:
    runs, sections = [], []
    for region in ("eu-north-1", "eu-central-1"):
        runs.append(machine.start("--configure", region=region))
        sections.append(machine.section)
    ways: list[Callable[[subprocess.Popen[str]], None]] = [machine.end, machine.end]
    if killed is not None:
        ways[killed] = machine.kill
    first, last = order
    ways[first](runs[first])
    if first == 0:
        assert machine.section == sections[1]
        assert Path(machine.section["credentials"]).exists()
    elif killed is None:
        assert machine.section == sections[0]
        assert Path(machine.section["credentials"]).exists()
    ways[last](runs[last])
    machine.end(machine.start())
    assert machine.content == BEFORE
    assert machine.runs == set()


def test_what_the_user_changed_after_the_kill_stays(machine: Machine) -> None:
    machine.kill(machine.start("--configure"))
    machine.conf.write_text(toml.dumps({"executors": {"awsbatch": {**machine.section, "region": "ap-south-1"}}}))
    machine.end(machine.start())
    assert machine.section == {**BEFORE["executors"]["awsbatch"], "region": "ap-south-1"}


def test_what_is_kept_is_private_and_names_no_temporary_file(machine: Machine) -> None:
    process = machine.start("--configure", whole=True)
    credentials = Path(machine.section["credentials"])
    assert credentials.is_relative_to(machine.conf.parent)
    assert [stat.S_IMODE(directory.stat().st_mode) for directory in credentials.parents[:2]] == [0o700, 0o700]
    assert stat.S_IMODE((credentials.parent / "former-values.toml").stat().st_mode) == 0o600
    assert stat.S_IMODE(credentials.stat().st_mode) == 0o600
    assert str(machine.temporary) not in machine.conf.read_text()
    machine.kill(process)


def test_a_process_that_got_the_dead_ones_number_is_told_from_it(machine: Machine) -> None:
    machine.kill(machine.start("--configure"))
    for directory in machine.runs:
        owner = json.loads((directory / "owner.json").read_text())
        (directory / "owner.json").write_text(json.dumps({**owner, "pid": os.getpid()}))
    machine.end(machine.start())
    assert machine.content == BEFORE
    assert machine.runs == set()


def test_another_machine_of_the_same_home_is_left_alone(machine: Machine) -> None:
    machine.kill(machine.start("--configure"))
    there = machine.section
    for directory in machine.runs:
        owner = json.loads((directory / "owner.json").read_text())
        (directory / "owner.json").write_text(json.dumps({**owner, "host": "another"}))
    left = machine.runs
    machine.end(machine.start("--configure"))
    assert machine.section == there
    assert machine.runs == left


def test_what_others_put_among_the_temporary_files_is_left_alone(machine: Machine, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    planted = {name: machine.temporary / f"covalent-awsbatch-local-{name}" for name in ("link", "open", "file", "bare")}
    for directory in (precious, planted["open"]):
        directory.mkdir(mode=0o700)
        (directory / "kept").touch()
        dead = Owner(Owner.this_process().host, os.getpid(), "before")
        assert dead.is_gone
        dead.write(directory / "owner.json")
    planted["open"].chmod(0o777)
    planted["link"].symlink_to(precious)
    planted["file"].touch()
    planted["bare"].mkdir(mode=0o700)
    swept = Path(tempfile.mkdtemp(prefix="covalent-awsbatch-local-", dir=machine.temporary))
    dead.write(swept / "owner.json")
    (swept / "link").symlink_to(precious)
    machine.end(machine.start())
    assert set(planted.values()) == machine.runs
    assert (precious / "kept").exists()
    assert (planted["open"] / "kept").exists()
