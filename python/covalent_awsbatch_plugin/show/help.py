"""What `--help` shows: commands by what they are for, options in groups, and an example.

Imports nothing that takes time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args, get_origin

import click

GROUPS = {
    "Try it": {
        "demo": "Run a workflow on an embedded AWS, from nothing to its result",
        "local": "Run the embedded AWS alone, for workflows of your own",
    },
    "See what runs, and why it failed": {
        "jobs": "Show the jobs in the queue and who waits for them",
        "logs": "Show what electrons write, while they run and afterwards",
        "watch": "Show a dispatch as it goes on",
        "why": "Show why electrons failed, and what to type next",
        "report": "Write a page about a dispatch: times, memory, cost",
        "resume": "Go on with dispatches that a killed server left",
    },
    "Set an account up": {
        "deploy": "Create a queue and all it needs: plan, up, status, down",
        "doctor": "Check all that a task needs, and say how to mend it",
        "policy": "Print the IAM policy of the user, or of a role of jobs",
        "environment": "Make, list and delete what jobs fetch",
    },
    "Your shell": {"completion": "Print what completes commands in bash, zsh or fish"},
}
"""Commands by what they are for, each in a line of 80 columns."""

EXAMPLES = {
    "demo": "covalent-awsbatch demo --keep",
    "local": "covalent-awsbatch local --configure",
    "jobs": "covalent-awsbatch jobs --all --watch",
    "logs": "covalent-awsbatch logs 3f2a 3 --follow",
    "watch": "covalent-awsbatch watch",
    "why": "covalent-awsbatch why 3f2a",
    "report": "covalent-awsbatch report 3f2a -o run.html",
    "resume": "covalent-awsbatch resume --all",
    "doctor": "covalent-awsbatch doctor --run",
    "policy": "covalent-awsbatch policy user > policy.json",
    "environment": "covalent-awsbatch environment list",
    "build": "covalent-awsbatch environment build",
    "list": "covalent-awsbatch environment list",
    "refresh": "covalent-awsbatch environment refresh",
    "prune": "covalent-awsbatch environment prune --older-than 60",
    "completion": 'eval "$(covalent-awsbatch completion bash)"',
    "deploy": "covalent-awsbatch deploy plan --prefix lab",
    "deploy plan": "covalent-awsbatch deploy plan --prefix lab --capacity SPOT,EC2",
    "deploy up": "covalent-awsbatch deploy up --prefix lab --max-vcpus 64",
    "deploy status": "covalent-awsbatch deploy status --prefix lab",
    "deploy list": "covalent-awsbatch deploy list --json",
    "deploy down": "covalent-awsbatch deploy down --prefix lab",
}
"""By the name of a command, or of the group and the command."""


def write_example(name: str, formatter: click.HelpFormatter) -> None:
    """Write the example of a command, if it has one.

    Args:
        name: The command, as in `EXAMPLES`.
        formatter: Of the help.
    """
    if name in EXAMPLES:
        with formatter.section("Example"):
            formatter.write_text(EXAMPLES[name])


class Command(click.Command):
    """A command with an example, whose options may stand in groups.

    Args:
        *args: As for `click.Command`.
        group_of: Says in which group the option of a name stands; "" for the first one.
        example: The command's name in `EXAMPLES`; its own if it is not given.
        **kwargs: As for `click.Command`.
    """

    def __init__(
        self, *args: Any, group_of: Callable[[str], str] = lambda _: "", example: str = "", **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._group_of = group_of
        self._example = example

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the options, group by group."""
        groups: dict[str, list[tuple[str, str]]] = {"": []}
        for option in self.get_params(ctx):
            # An argument stands in the line of usage, and the text says what it is.
            if isinstance(option, click.Option) and (record := option.get_help_record(ctx)) is not None:
                groups.setdefault(self._group_of(option.name or ""), []).append(record)
        for title, records in groups.items():
            if records:
                with formatter.section(title or "Options"):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Writes the example."""
        write_example(self._example or self.name or "", formatter)


class ExecutorCommand(Command):
    """A command that takes options of the executor; one that is not given is None.

    They are made when they are asked for, of what `settings.py` says of them: pydantic takes its time to be imported.

    Args:
        *args: As for `click.Command`.
        flags: The names of options of the executor by their flags; None for those that `settings.py` intends for the
            command line.
        **kwargs: As for `click.Command`.
    """

    def __init__(self, *args: Any, flags: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, group_of=self._group, **kwargs)
        self._flags = flags
        self._complete = False
        self._own: set[str] = {option.name or "" for option in self.params} | {"help", "_click_default_help"}

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's own options and the executor's."""
        if not self._complete:
            self._complete = True
            self.params += self._executor_options()
        return super().get_params(ctx)

    def _group(self, name: str) -> str:
        return "" if name in self._own else "In place of what Covalent's configuration says"

    def _executor_options(self) -> list[click.Parameter]:
        from covalent_awsbatch_plugin.options.definition import definition
        from covalent_awsbatch_plugin.options.settings import Settings

        about = {name: definition(field) for name, field in Settings.model_fields.items()}
        flags = self._flags
        if flags is None:
            flags = {f"--{name.replace('_', '-')}": name for name, option in about.items() if option.command_line}
        return [
            click.Option(
                [flag, name],
                help=about[name].plain,
                shell_complete=completing(Settings.model_fields[name].annotation),
            )
            for flag, name in flags.items()
        ]


def completing(annotation: Any) -> Callable[[click.Context, click.Parameter, str], list[Any]]:
    """What completes the value of an option in a shell: the values of a `Literal`.

    Args:
        annotation: Type of the option.
    """
    choices = get_args(annotation) if str(get_origin(annotation)) == "typing.Literal" else ()
    values = [str(value) for value in choices if value]
    return lambda _context, _parameter, begun: [value for value in values if value.startswith(begun)]


class Group(click.Group):
    """The program: its commands by what they are for, and one that is imported when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All of them, in the order of the help."""
        known = [name for group in GROUPS.values() for name in group]
        there = {*super().list_commands(ctx), "deploy"}
        return [*(name for name in known if name in there), *sorted(there - set(known))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command; the group of those that deploy is imported here."""
        if cmd_name == "deploy":
            import importlib

            found: click.Command = importlib.import_module("covalent_awsbatch_plugin.deploy.command").deploy
            return found
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes them, group by group."""
        there = self.list_commands(ctx)
        known = {name for group in GROUPS.values() for name in group}
        others = {name: self.commands[name].get_short_help_str() for name in there if name not in known}
        for title, group in {**GROUPS, "Others": others}.items():
            rows = [(name, text) for name, text in group.items() if name in there]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows, col_max=12)
