"""How `deploy` ends Terraform early, with a real one: what is under way is not lost, and nothing waits for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
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
from covalent_awsbatch_plugin.terraform import Terraform, TerraformError

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


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM], [signal.SIGHUP], [signal.SIGINT] * 2])
def test_what_was_just_begun_ends_unless_asked_twice(signals: list[signal.Signals], tmp_path: Path) -> None:
    binaries = install(tmp_path)
    directory = tmp_path / "project"
    directory.mkdir()
    seconds = "2" if len(signals) == 1 else "60"
    (directory / "main.tf").write_text(CONFIGURATION.replace("SECONDS", seconds), encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=directory,
        env={**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        for begin in ("apply_start", "apply_start"):
            wait_for(process, begin)
        process.send_signal(signals[0])
        if len(signals) > 1:
            wait_for(process, "interruption")
            process.send_signal(signals[1])
        told, _ = process.communicate(timeout=60)
    done = {line for line in told.splitlines() if line.startswith("apply_complete")}
    assert done == ({"apply_complete terraform_data.request"} if len(signals) == 1 else set())
    assert told.splitlines()[-1] == "Interrupted."
    kept = subprocess.run([binaries / "terraform", "state", "list"], cwd=directory, capture_output=True, text=True)
    assert kept.stdout.split() == ["terraform_data.machine", "terraform_data.request"]
