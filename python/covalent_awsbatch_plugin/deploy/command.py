"""The commands `covalent-awsbatch deploy …`. Each variable of `assets/infra` is an option."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import filelock
import toml
from rich.console import Console
from rich.text import Text

from covalent_awsbatch_plugin.options.settings import DEFAULTS, Settings
from covalent_awsbatch_plugin.printable import one_line, printable
from covalent_awsbatch_plugin.show.columns import aligned
from covalent_awsbatch_plugin.show.help import Command, completing
from covalent_awsbatch_plugin.show.problem import Problem

from . import files, overview
from .configuration import PLACES
from .deployment import Deployment, default_directory
from .former_names import FORMER
from .infra import ExecutorInfraDefaults
from .terraform import TerraformError
from .variables import ours, read, variables

_TYPES: dict[Any, type] = {int: int, float: float, bool: bool}


# Options are taken as Covalent's own command has them, too: --aws_region.
@click.group(
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": lambda name: name.replace("_", "-"),
    }
)
def deploy() -> None:
    """Create a job queue and all it needs with Terraform or OpenTofu, and delete it again.

    Credentials are yours: those that any AWS tool would use, or --profile and --credentials. Variables are remembered
    in the deployment's directory, so that a later command needs only what changes.
    """


_OWN_OPTIONS = {"yes", "full", "configure", "as_json", "help", "directory", "backend", "var_file", "prefix"}
_OF_JOBS = "How jobs run (written into Covalent's configuration)"
_RESOURCES = "What is created"


def _group_of(name: str) -> str:
    """In which group of the help the option of a variable stands."""
    if name in _OWN_OPTIONS:
        return ""
    return _OF_JOBS if name in DEFAULTS and name not in PLACES else _RESOURCES


class _Command(Command):
    """A command that takes variables."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, group_of=_group_of, **kwargs)


def _place(function: Callable[..., None]) -> Callable[..., None]:
    """The options that say which deployment is meant."""
    kind = click.Path(file_okay=False, path_type=Path)
    backend = click.option(
        "--backend", default="", help="Keep the state in S3: s3://bucket or s3://bucket/key, ?region=… behind it."
    )
    directory = click.option("--directory", type=kind, help="Directory for the state; one per prefix if not given.")
    return directory(backend(function))


def _variables(function: Callable[..., None]) -> Callable[..., None]:
    """An option for every variable, and a file with them."""
    for name, field in reversed(ExecutorInfraDefaults.model_fields.items()):
        dashed = f"--{name.replace('_', '-')}"
        kind = _TYPES.get(ExecutorInfraDefaults.model_fields[FORMER.get(name, name)].annotation, str)
        default = f" Default: {field.default}." if field.default not in ("", False) else ""
        function = click.option(
            f"{dashed}/--no-{name.replace('_', '-')}" if kind is bool else dashed,
            name,
            type=kind,
            default=None,
            help=f"{field.description}{default}",
            hidden=name in FORMER,
            shell_complete=completing((Settings.model_fields.get(name) or field).annotation),
        )(function)
    path = click.Path(exists=True, dir_okay=False, path_type=Path)
    return click.option("--var-file", type=path, help="File with variables: terraform.tfvars or JSON.")(function)


_full = click.option("--full", is_flag=True, help="Show the plan in Terraform's own words, with every attribute.")


@deploy.command(cls=_Command, example="deploy up", short_help="Create what is missing, or change it, after asking")
@_place
@_variables
@click.option("--yes", is_flag=True, help="Don't ask.")
@_full
@click.option("--configure/--no-configure", default=True, help="Write Covalent's configuration; the default.")
def up(*, yes: bool, configure: bool, full: bool, **options: Any) -> None:
    """Create what is missing, or change it, and point Covalent's configuration at it."""
    _run(options, lambda deployment: deployment.up(yes=yes, configure=configure, full=full))


@deploy.command(cls=_Command, example="deploy plan", short_help="Show what `up` would do")
@_place
@_variables
@_full
def plan(*, full: bool, **options: Any) -> None:
    """Show what `up` would do. Exit status: 0, whether there is something to do or not."""
    _run(options, lambda deployment: deployment.plan(full=full))


@deploy.command(cls=_Command, example="deploy status", short_help="Say whether it is up, and where")
@_place
@_variables
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def status(*, as_json: bool, **options: Any) -> None:
    """Say whether it is up. Exit status: 0 up or down, 1 incomplete."""
    state = "down"

    def show(deployment: Deployment) -> None:
        nonlocal state
        resources: list[str] = []
        if deployment.exists or deployment.backend:
            state, resources = deployment.status()
        if as_json:
            content = {"status": state, "directory": str(deployment.directory), "resources": resources}
            click.echo(json.dumps(content, indent=2))
            return
        click.echo(printable(f"{state}: {len(resources)} resources, state in {deployment.place}"))
        if state == "incomplete":
            click.echo("An `up` or `down` did not finish: repeat it.")
        if state == "up":
            deployment.show_places(deployment.executor, "covalent-awsbatch doctor")
        elif state == "down":
            click.echo("Next: covalent-awsbatch deploy up")

    _run(options, show)
    raise SystemExit(1 if state == "incomplete" else 0)


@deploy.command(cls=_Command, example="deploy down", short_help="Delete everything, also what is in the bucket")
@_place
@_variables
@click.option("--yes", is_flag=True, help="Don't ask.")
@_full
def down(*, yes: bool, full: bool, **options: Any) -> None:
    """Delete everything, also what is in the bucket."""

    def delete(deployment: Deployment) -> None:
        if not deployment.exists and not deployment.backend:
            raise TerraformError(
                f"Nothing was deployed from {deployment.directory}: name the deployment with --prefix or --directory, "
                "or where its state is with --backend."
            )
        deployment.down(yes=yes, full=full)

    _run(options, delete)


@deploy.command("list", cls=Command, example="deploy list", short_help="List the deployments of this machine")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def list_(*, as_json: bool) -> None:
    """List the deployments that were made from this machine, as they were left. Nothing is asked of AWS.

    Those in a directory of their own (--directory) are not known.
    """
    found = overview.directories(default_directory(""))
    rows = [(path.name, overview.last_state(path), files.load(path / files.EXECUTOR), str(path)) for path in found]
    if as_json:
        keys = {"region": "region", "queue": "batch_queue", "bucket": "s3_bucket_name"}
        content = [
            {"prefix": name, "status": state, **{key: executor.get(of) for key, of in keys.items()}, "directory": path}
            for name, state, executor, path in rows
        ]
        click.echo(json.dumps(content, indent=2))
        return
    if not rows:
        click.echo("No deployment was made from this machine. Next: covalent-awsbatch deploy up")
        return
    console = Console(highlight=False)
    table = [[Text(title, "bold") for title in ("PREFIX", "STATE", "REGION", "QUEUE", "BUCKET")]]
    for name, state, executor, _ in rows:
        places = [str(executor.get(key) or "-") for key in ("region", "batch_queue", "s3_bucket_name")]
        table.append([Text(one_line(cell)) for cell in (name, state, *places)])
    for line in aligned(table, None):
        console.print(line, soft_wrap=True)


def _run(options: dict[str, Any], action: Callable[[Deployment], object]) -> None:
    backend, directory, var_file = (options.pop(name, None) for name in ("backend", "directory", "var_file"))
    given = {name: value for name, value in options.items() if value is not None}
    console = Console(highlight=False)
    try:
        asked = {**(read(var_file) if var_file else {}), **ours(given)}
        place = directory or default_directory(asked.get("prefix", ExecutorInfraDefaults().prefix))
        place = place.absolute()
        action(Deployment(place, variables(place, asked), backend or "", console))
    except (TerraformError, OSError, filelock.Timeout, toml.TomlDecodeError) as error:
        raise Problem(printable(error)) from error
