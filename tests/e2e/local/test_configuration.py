"""Covalent's configuration file, as it was before a run of the embedded AWS has written its options into it."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import toml

from covalent_awsbatch_plugin.local.configuration import config_file, configured, runs_directory
from covalent_awsbatch_plugin.local.run_directory import run_directory

OPTIONS = {"endpoint_url": "http://127.0.0.1:5000", "region": "eu-north-1"}


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where Covalent's configuration file is, in a directory of its own; it does not exist yet."""
    monkeypatch.setenv("COVALENT_CONFIG_DIR", str(tmp_path / "covalent"))
    return tmp_path / "covalent/covalent.conf"


@contextlib.contextmanager
def configuring() -> Iterator[Path]:
    """A run that has written its options into the file."""
    with run_directory(runs_directory()) as directory, configured(OPTIONS, directory) as path:
        yield path


@pytest.mark.parametrize("variable", ["COVALENT_CONFIG_DIR", "XDG_CONFIG_DIR", "HOME"])
def test_the_configuration_file_is_the_one_that_covalent_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    from covalent._shared_files.defaults import get_default_sdk_config

    for name in ("COVALENT_CONFIG_DIR", "XDG_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    assert str(config_file()) == get_default_sdk_config()["config_file"]


def test_a_configuration_that_was_not_there_is_not_there_afterwards(conf: Path) -> None:
    with configuring() as path:
        assert path == conf
        assert toml.load(conf) == {"executors": {"awsbatch": OPTIONS}}
    assert not conf.exists()


def test_what_stood_there_before_comes_back(conf: Path) -> None:
    before = {
        "sdk": {"no_cluster": "true"},
        "executors": {"awsbatch": {"region": "us-west-2", "vcpu": 4}, "local": {"cache_dir": "/tmp"}},
    }
    conf.parent.mkdir()
    conf.write_text(toml.dumps(before))
    conf.chmod(0o600)
    with configuring():
        assert toml.load(conf)["executors"]["awsbatch"] == {**OPTIONS, "vcpu": 4}
    assert toml.load(conf) == before
    assert conf.stat().st_mode & 0o777 == 0o600


def test_what_others_change_meanwhile_stays(conf: Path) -> None:
    with configuring():
        content = toml.load(conf)
        content["executors"]["awsbatch"]["region"] = "ap-south-1"
        content["dispatcher"] = {"port": 48009}
        conf.write_text(toml.dumps(content))
    assert toml.load(conf) == {"executors": {"awsbatch": {"region": "ap-south-1"}}, "dispatcher": {"port": 48009}}


def test_an_exception_restores_too(conf: Path) -> None:
    with pytest.raises(KeyboardInterrupt), configuring():
        raise KeyboardInterrupt
    assert not conf.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_local_configures_covalent_until_it_is_ended(conf: Path, number: signal.Signals) -> None:
    before = {"executors": {"awsbatch": {"s3_bucket_name": "mine", "vcpu": 4}}}
    conf.parent.mkdir()
    conf.write_text(toml.dumps(before))
    process = subprocess.Popen(
        [sys.executable, "-m", "covalent_awsbatch_plugin.cli", "local", "--region", "eu-north-1", "--configure"],
        env={**os.environ, "COVALENT_CONFIG_DIR": str(conf.parent), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Ctrl-C"):
                break
        section = toml.load(conf)["executors"]["awsbatch"]
        assert section["endpoint_url"].startswith("http://127.0.0.1:")
        assert (section["region"], section["vcpu"]) == ("eu-north-1", 4)
        assert section["s3_bucket_name"] == "covalent-batch-job-resources"
        credentials = Path(section["credentials"])
        assert credentials.is_relative_to(conf.parent), "where a temporary one would be another's to make anew"
        assert stat.S_IMODE(credentials.stat().st_mode) == 0o600
        assert stat.S_IMODE(credentials.parent.stat().st_mode) == 0o700
        secret = credentials.read_text().split()[-1]
        assert secret not in "".join(lines)
        assert f'endpoint_url = "{section["endpoint_url"]}"\n' in lines
        process.send_signal(number)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    assert toml.load(conf) == before
    assert not runs_directory().exists()
