"""Options of the executor on the command line: as `settings.py` has them, and made only where they are needed."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from covalent_awsbatch_plugin.cli import main
from covalent_awsbatch_plugin.options.definition import definition
from covalent_awsbatch_plugin.options.settings import Settings


def help_of(command: str) -> dict[str, str]:
    """The texts of a command's options by their flags; each stands behind its flag or, if that is long, below it."""
    done = CliRunner().invoke(main, [command, "--help"], terminal_width=1000)
    assert done.exit_code == 0
    return dict(re.findall(r"^  (?:-h, )?(--[\w-]+)(?: TEXT)?\s+(.*)$", done.output, re.MULTILINE))


@pytest.mark.parametrize("command", ["doctor", "policy"])
def test_a_command_takes_the_options_that_are_meant_for_it(command: str) -> None:
    shown = help_of(command)
    for name, field in Settings.model_fields.items():
        known, flag = definition(field), f"--{name.replace('_', '-')}"
        assert shown.get(flag) == (known.plain if known.command_line else None)
    assert {"--help", "--region", "--platform"} < set(shown)


def test_jobs_takes_those_that_lead_to_the_queue() -> None:
    shown = help_of("jobs")
    assert shown["--queue"] == definition(Settings.model_fields["batch_queue"]).plain
    assert shown["--region"] == definition(Settings.model_fields["region"]).plain
    assert not {"--batch-queue", "--vcpu"} & set(shown)


def test_the_options_are_made_once_and_an_unknown_flag_is_refused() -> None:
    asked = ["policy", "user", "--account=123456789012", "--region=eu-west-1"]
    for _ in range(2):  # the options are made once
        done = CliRunner().invoke(main, [*asked, "--batch-queue=mine"])
        assert "arn:aws:batch:eu-west-1:123456789012:job-queue/mine" in done.output
    assert "No such option" in CliRunner().invoke(main, [*asked, "--retry-on=any"]).output


def test_the_list_of_commands_imports_no_pydantic() -> None:
    script = """
import sys
from covalent_awsbatch_plugin.cli import main
main(["--help"], standalone_mode=False)
print("pydantic" in sys.modules, "covalent" in sys.modules)
main(["doctor", "--help"], standalone_mode=False)
print("pydantic" in sys.modules, "covalent" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert re.findall("^(?:True|False) .*$", done.stdout, re.MULTILINE) == ["False False", "True False"], done.stderr
