"""Options of the executor on the command line: as `settings.py` has them, and made only where they are needed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.shell_completion import ShellComplete
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


def test_an_argument_is_no_option() -> None:
    lines = CliRunner().invoke(main, ["logs", "--help"]).output.splitlines()
    assert "[DISPATCH|JOB] [NODE]" in lines[0]
    assert lines[lines.index("Options:") + 1].split()[0] == "-f,"


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


def commands(group: click.Group = main, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command, by the words that call it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        yield (*path, name)
        if isinstance(found, click.Group):
            yield from commands(found, (*path, name))


@pytest.mark.parametrize("words", [(), *commands()], ids=" ".join)
def test_help_fits_80_columns_and_has_an_example(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(main, [*words, "--help"], terminal_width=80)
    assert done.exit_code == 0
    assert max(map(len, done.output.splitlines())) <= 80
    assert "..." not in done.output.replace("[DISPATCH]...", "").replace("COMMAND [ARGS]...", ""), "nothing is cut"
    if words and words[-1] not in ("deploy", "environment"):
        _, _, example = done.output.partition("\nExample:\n")
        assert f"covalent-awsbatch {' '.join(words)}" in example


def test_options_stand_in_groups_each_once() -> None:
    shown = CliRunner().invoke(main, ["deploy", "up", "--help"]).output
    groups = re.split(r"\n(?=\S.*:\n)", shown)
    titles = {group.partition(":\n")[0]: group for group in groups[1:]}
    assert list(titles)[:3] == ["Options", "What is created", "How jobs run (written into Covalent's configuration)"]
    assert "--prefix" in titles["Options"]
    assert "--capacity" in titles["What is created"]
    assert "--vcpu " in titles["How jobs run (written into Covalent's configuration)"]
    flags = re.findall(r"^  (--[\w-]+)", shown, re.MULTILINE)
    assert len(flags) == len(set(flags))


@pytest.mark.parametrize(
    ("words", "begun", "expected"),
    [
        ([], "d", {"demo", "deploy", "doctor"}),
        (["deploy"], "", {"up", "plan", "status", "list", "down"}),
        (["deploy", "up"], "--max-v", {"--max-vcpus"}),
        (["doctor", "--platform"], "", {"EC2", "FARGATE", "MANAGED_INSTANCES", "EKS"}),
        (["deploy", "up", "--s3-cleanup"], "a", {"always"}),
        (["completion"], "", {"bash", "zsh", "fish"}),
    ],
)
def test_a_shell_completes_commands_options_and_choices(words: list[str], begun: str, expected: set[str]) -> None:
    found = ShellComplete(main, {}, "covalent-awsbatch", "_COVALENT_AWSBATCH_COMPLETE").get_completions(words, begun)
    assert {item.value for item in found} == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_calls_the_program(shell: str) -> None:
    done = CliRunner().invoke(main, ["completion", shell])
    assert done.exit_code == 0, done.output
    assert "_COVALENT_AWSBATCH_COMPLETE=" in done.stdout
    assert f"{shell}_complete" in done.stdout


def test_the_list_of_commands_imports_no_pydantic() -> None:
    script = """
import sys
from covalent_awsbatch_plugin.cli import main
main(["--help"], standalone_mode=False)
print("pydantic" in sys.modules, "covalent" in sys.modules)
main(["doctor", "--help"], standalone_mode=False)
main(["deploy", "up", "--help"], standalone_mode=False)
print("pydantic" in sys.modules, "covalent" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert re.findall("^(?:True|False) .*$", done.stdout, re.MULTILINE) == ["False False", "True False"], done.stderr
