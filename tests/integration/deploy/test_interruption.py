"""How `deploy` ends Terraform early, with a real one: what is under way is not lost, and nothing waits for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.terraform import install

CONFIGURATION = """
resource "terraform_data" "request" {
  provisioner "local-exec" { command = "sleep SECONDS" }
}

resource "terraform_data" "machine" {
  provisioner "local-exec" { command = "sleep 300" }
}
"""

PROGRAM = """
from pathlib import Path
from covalent_awsbatch_plugin.deploy.terraform import Terraform, TerraformError

def tell(event):
    print(event["type"], event.get("hook", {}).get("resource", {}).get("addr", ""), flush=True)

terraform = Terraform(Path.cwd())
terraform.answer("init")
try:
    terraform.follow(tell, "apply", "-auto-approve")
except TerraformError as error:
    print(error)
"""


def wait_for(process: subprocess.Popen[str], begin: str) -> None:
    """Reads lines until one begins so."""
    assert process.stdout is not None
    assert any(line.startswith(begin) for line in iter(process.stdout.readline, "")), f"it ended before {begin}"


@contextmanager
def applying(tmp_path: Path, seconds: int) -> Iterator[subprocess.Popen[str]]:
    """The program, as soon as both resources are being made, of which one takes so long."""
    binaries = install(tmp_path)
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "main.tf").write_text(CONFIGURATION.replace("SECONDS", str(seconds)), encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=directory,
        env={**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        for begin in ("apply_start", "apply_start"):
            wait_for(process, begin)
        yield process
    kept = subprocess.run(
        [binaries / "terraform", "state", "list"], cwd=directory, capture_output=True, text=True, check=True
    )
    assert kept.stdout.split() == ["terraform_data.machine", "terraform_data.request"]


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM], [signal.SIGHUP], [signal.SIGINT] * 2])
def test_what_was_just_begun_ends_unless_asked_twice(signals: list[signal.Signals], tmp_path: Path) -> None:
    with applying(tmp_path, seconds=1 if len(signals) == 1 else 60) as process:
        process.send_signal(signals[0])
        if len(signals) > 1:
            wait_for(process, "interruption")
            process.send_signal(signals[1])
        assert process.stdout is not None
        told = process.stdout.read().splitlines()
    done = {line for line in told if line.startswith("apply_complete")}
    assert done == ({"apply_complete terraform_data.request"} if len(signals) == 1 else set())
    assert told[-1] == "Interrupted."


def test_terraform_ends_well_also_where_nobody_reads_any_more(tmp_path: Path) -> None:
    """As where `| tee` was ended by the same Ctrl-C, or the terminal is closed."""
    with applying(tmp_path, seconds=1) as process:
        assert process.stdout is not None
        process.stdout.close()
        process.send_signal(signal.SIGHUP)
        assert process.wait(60) != 0
