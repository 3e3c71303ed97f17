"""Whether a shell command of a page would be understood, without running it."""

from __future__ import annotations

import re
import shlex
from itertools import takewhile
from pathlib import Path

import click
import toml
from support.paths import ROOT

from covalent_awsbatch_plugin.cli import main

OTHERS = {"aws", "cd", "curl", "docker", "eksctl", "export", "git", "kubectl", "source", "terraform"}
"""Programs of others, whose arguments are theirs."""


class NotUnderstoodError(Exception):
    """No program would take this command."""


def commands(text: str) -> list[list[str]]:
    """The commands of a block, each as its words; where lines have prompts, the others are what came out."""
    lines = re.sub(r'^eval "\$\((.*)\)"', r"\1", text.replace("\\\n", " "), flags=re.MULTILINE).splitlines()
    prompted = [line.lstrip()[2:] for line in lines if line.lstrip().startswith("$ ")]
    parts = [part for line in prompted or lines for part in re.split(r"\s(?:&&|\|\|?|;)\s", line)]
    words = (shlex.split(part, comments=True) for part in parts)
    named = ([*takewhile(lambda word: word != ">", _without_variables(found))] for found in words)
    return [found for found in named if found]


def check(words: list[str]) -> None:
    """Looks whether a command would be understood.

    Raises:
        NotUnderstoodError: It would not.
    """
    program, *arguments = words
    if program == "covalent-awsbatch":
        _parse(main, program, arguments)
    elif program == "covalent":
        _known_to_covalent(arguments)
    elif program == "make":
        targets = set(re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
        _no_more_than({word for word in arguments if "=" not in word}, targets, "make")
    elif program in {"pip", "uv"}:
        _extras_exist(arguments)
    elif program in {"python", "jupyter"}:
        for word in arguments:
            if word.endswith((".py", ".ipynb")) and not (ROOT / word).exists():
                raise NotUnderstoodError(f"{word} does not exist")
    elif program not in OTHERS:
        raise NotUnderstoodError(f"{program} is no program that the pages use")


def _without_variables(words: list[str]) -> list[str]:
    first = next((place for place, word in enumerate(words) if not re.match(r"[A-Z_]+=", word)), len(words))
    return words[first:]


def _parse(command: click.Command, name: str, arguments: list[str]) -> None:
    """Has click parse it, down to the last of the commands in each other."""
    try:
        context = command.make_context(name, list(arguments))
    except click.exceptions.Exit:
        return  # --help, --version
    except click.ClickException as error:
        raise NotUnderstoodError(f"{name} {shlex.join(arguments)}: {error.format_message()}") from error
    if isinstance(command, click.Group):
        below, *rest = arguments
        found = command.get_command(context, below)
        if found is None:
            raise NotUnderstoodError(f"{name} has no command {below}")
        _parse(found, f"{name} {below}", rest)


def _known_to_covalent(arguments: list[str]) -> None:
    from covalent_dispatcher._cli.cli import cli

    if arguments[0] not in cli.commands and not arguments[0].startswith("--"):
        raise NotUnderstoodError(f"covalent has no command {arguments[0]}")


def _extras_exist(arguments: list[str]) -> None:
    project = toml.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for word in arguments:
        if match := re.match(r"covalent-awsbatch-plugin\[(.*?)\]", word):
            _no_more_than(set(match[1].split(",")), set(project["optional-dependencies"]), "extras")
        if word.endswith(".txt") and not Path(ROOT, word).exists():
            raise NotUnderstoodError(f"{word} does not exist")


def _no_more_than(given: set[str], known: set[str], what: str) -> None:
    if unknown := given - known:
        raise NotUnderstoodError(f"{what}: there is no {', '.join(sorted(unknown))}")
