"""What `covalent-awsbatch deploy` does: a queue and all it needs, from an empty account and back.

It runs the same Terraform files as `covalent deploy up awsbatch`, with any Terraform or OpenTofu from 1.4 on, without
Docker, and with the state in a directory of the user's own instead of the installed package.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import click
import toml
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from covalent_awsbatch_plugin.local.configuration import config_file, edit
from covalent_awsbatch_plugin.options import limits
from covalent_awsbatch_plugin.options.settings import DEFAULTS
from covalent_awsbatch_plugin.printable import one_line, printable

from . import former_names
from .infra import ExecutorInfraDefaults
from .terraform import Terraform, TerraformError

INFRA = Path(__file__).parents[1] / "assets" / "infra"
"""The Terraform files of this package."""

LAST = "terraform_data.configuration"
"""What Terraform makes last and deletes first."""

_VARIABLES = "terraform.tfvars.json"
_ASKED = "asked.json"
_BACKEND = "backend.tf.json"
_PLAN = "plan.tfplan"
_EXECUTOR = "executor.json"
_UNFINISHED = "unfinished"

# Options that name what was created. The others say how jobs shall run, and are written only if they were given.
_PLACES = (
    "credentials",
    "profile",
    "region",
    "endpoint_url",
    "s3_bucket_name",
    "s3_kms_key_id",
    "batch_queue",
    "batch_execution_role_name",
    "batch_job_role_name",
    "batch_job_log_group_name",
    "ecr_repo_name",
)

# They do, too, but say something only where they are not the executor's defaults.
_KINDS = ("platform", "assign_public_ip", "ephemeral_storage")

_DONE = {"create": "created", "update": "changed", "delete": "deleted", "read": "read", "replace": "replaced"}


@dataclass
class Deployment:
    """One deployment: its directory and its variables.

    Args:
        directory: Where files and state are.
        values: Variables of `assets/infra` that were given, now or earlier; the others have their defaults.
        backend: Where the state is, if not in the directory: `s3://bucket/key`, with `?region=…` where it is not ours.
        console: Where to write.
    """

    directory: Path
    values: dict[str, Any]
    backend: str
    console: Console

    @property
    def exists(self) -> bool:
        """Whether an `up` was ever begun from this directory."""
        return (self.directory / _VARIABLES).exists()

    def plan(self) -> int:
        """Shows what `up` would do.

        Returns:
            How many things it would create, change or delete.
        """
        return self._planned(self._ready())

    def up(self, *, yes: bool, configure: bool) -> None:
        """Creates or changes everything after showing and asking, then points Covalent's configuration at it."""
        terraform = self._ready()
        _keep_half_made(terraform)
        changes = self._planned(terraform)
        if changes:
            _confirm("Do this?", yes=yes)
        # Not earlier: a plan that nobody wanted leaves no trace.
        _write(self.directory / _VARIABLES, self.values)
        with self._to_its_end():
            try:
                if changes:
                    self._apply(terraform, changes)
            except TerraformError as error:
                raise TerraformError(
                    f"{error}\n{_about_strangers(terraform, str(error))}"
                    "What was created is known: repeat `up` once the cause is gone, or undo it with `down`."
                ) from error
        outputs = self._outputs(terraform)
        _write(self.directory / _EXECUTOR, outputs["executor"])
        if outputs.get("repository_url"):
            self._say(f"Images of your own go to {outputs['repository_url']}")
        if configure:
            self._configure(outputs["executor"], yes=yes)

    def down(self, *, yes: bool) -> None:
        """Deletes everything after showing and asking, and takes back what stands of it in Covalent's configuration."""
        terraform = self._ready()
        # A `down` that broke off has taken the outputs away before all else.
        executor = self._outputs(terraform).get("executor") or _read(self.directory / _EXECUTOR)
        changes = self._planned(terraform, "-destroy")
        if changes:
            _confirm("Delete all this, with everything in the bucket and the repository?", yes=yes)
        with self._to_its_end():
            try:
                if changes:
                    self._apply(terraform, changes)
            except TerraformError as error:
                raise TerraformError(f"{error}\nThe rest is known: repeat `down` once the cause is gone.") from error
        self._forget(executor)
        (self.directory / _EXECUTOR).unlink(missing_ok=True)

    def status(self) -> tuple[str, list[str]]:
        """What there is.

        Returns:
            `up`, `incomplete` or `down`, and Terraform's addresses of what there is.
        """
        there = list(_instances(self._ready()))
        addresses = list(dict.fromkeys(address for address, _ in there))
        half_made = any(_is_half_made(instance) for _, instance in there)
        whole = LAST in addresses and not half_made and not (self.directory / _UNFINISHED).exists()
        return "up" if whole else "incomplete" if there else "down", addresses

    @property
    def place(self) -> str:
        """Where the state is."""
        backend = _read(self.directory / _BACKEND).get("terraform", {}).get("backend", {}).get("s3")
        return f"s3://{backend['bucket']}/{backend['key']}" if backend else str(self.directory)

    @contextmanager
    def _to_its_end(self) -> Iterator[None]:
        """Has `status` say so if what is done here is not finished."""
        (self.directory / _UNFINISHED).touch()
        yield
        (self.directory / _UNFINISHED).unlink()

    def _ready(self) -> Terraform:
        """Brings the files up to date and has the provider fetched."""
        own = {source.name for source in INFRA.glob("*.tf")}
        foreign = sorted(path.name for path in self.directory.glob("*.tf") if path.name not in own)
        if foreign:
            raise TerraformError(
                f"{self.directory} is another Terraform project ({foreign[0]}): choose another directory"
            )
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in own:
            shutil.copyfile(INFRA / name, self.directory / name)
        terraform = Terraform(self.directory)
        if self.backend:
            _write(self.directory / _BACKEND, self._backend(terraform))
        with self.console.status(f"{terraform.name} init"):
            try:
                terraform.answer("init")
            except TerraformError as error:
                if "-migrate-state" not in str(error):
                    raise
                raise TerraformError(
                    f"The state of {self.directory} is elsewhere than --backend says. To move it there: "
                    f"{terraform.name} -chdir={self.directory} init -migrate-state"
                ) from error
        return terraform

    def _backend(self, terraform: Terraform) -> dict[str, Any]:
        parts = urlsplit(self.backend)
        values = ExecutorInfraDefaults.model_construct(**self.values)
        if parts.scheme != "s3" or not parts.netloc:
            raise TerraformError(f"--backend {self.backend} is no s3://bucket or s3://bucket/key")
        content: dict[str, Any] = {
            "bucket": parts.netloc,
            "key": parts.path.strip("/") or f"covalent-awsbatch/{values.prefix}.tfstate",
            "region": dict(parse_qsl(parts.query)).get("region", values.region),
            "encrypt": True,
        }
        if terraform.version >= (1, 10):
            content["use_lockfile"] = True
        if values.profile:
            content["profile"] = values.profile
        if values.credentials:
            content["shared_credentials_files"] = [str(Path(values.credentials).expanduser())]
        if values.endpoint_url:
            content["endpoints"] = dict.fromkeys(("s3", "iam", "sts"), values.endpoint_url)
            content["use_path_style"] = True
        return {"terraform": {"backend": {"s3": content}}}

    def _planned(self, terraform: Terraform, *arguments: str) -> int:
        _write(self.directory / _ASKED, self.values)
        with self.console.status(f"{terraform.name} plan"):
            terraform.answer("plan", f"-out={_PLAN}", f"-var-file={_ASKED}", *arguments)
        changes = json.loads(terraform.answer("show", "-json", _PLAN)).get("resource_changes", [])
        actions = [action for change in changes for action in change["change"]["actions"]]
        count = sum(action in ("create", "update", "delete") for action in actions)
        if count:
            self._say(terraform.answer("show", _PLAN).strip())
        else:
            self._say("Nothing to do: everything is as it should be.")
        return count

    def _apply(self, terraform: Terraform, changes: int) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task("", total=changes)

            def tell(event: Mapping[str, Any]) -> None:
                hook = event.get("hook", {})
                address = one_line(hook.get("resource", {}).get("addr", ""))
                if event["type"] == "apply_start":
                    progress.update(task, description=address)
                elif event["type"] == "apply_complete":
                    progress.advance(task)
                    self._say(f"{_DONE[hook['action']]:<8} {address} ({hook.get('elapsed_seconds', 0):.0f} s)")
                elif event["type"] == "interruption":
                    self._say(event["@message"])

            terraform.follow(tell, "apply", _PLAN)

    def _outputs(self, terraform: Terraform) -> dict[str, Any]:
        return {name: output["value"] for name, output in json.loads(terraform.answer("output", "-json")).items()}

    def _configure(self, executor: Mapping[str, Any], *, yes: bool) -> None:
        before = _section()
        told = {
            *_PLACES,
            *self.values,
            *(name for name in _KINDS if executor[name] != DEFAULTS[name] or name in before),
        }
        wanted = {name: executor[name] for name in executor if name in told}
        # An empty value says nothing to the executor; it is written only where it replaces one that says something.
        after = {**before, **{name: value for name, value in wanted.items() if value != "" or name in before}}
        if not self._difference(before, after):
            self._say(f"{config_file()} has it all already.")
            return
        if not yes and not click.confirm("Write this into Covalent's configuration?"):
            return
        edit(config_file(), lambda section: section.update(after))
        self._say("Restart the Covalent server so that it reads it: covalent restart")

    def _forget(self, executor: Mapping[str, Any]) -> None:
        before = _section()
        gone = [name for name in _PLACES + _KINDS if name in before and before[name] == executor.get(name)]
        if "batch_queue" not in gone:  # Covalent uses another queue by now
            return
        self._difference(before, {name: value for name, value in before.items() if name not in gone})

        def remove(section: dict[str, Any]) -> None:
            for name in gone:
                section.pop(name, None)

        edit(config_file(), remove)

    def _difference(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
        lines = list(difflib.unified_diff(_lines(before), _lines(after), str(config_file()), str(config_file()), n=1))
        for line in lines:
            self._say(line.rstrip("\n"), {"+": "green", "-": "red"}.get(line[0], ""))
        return bool(lines)

    def _say(self, text: str, style: str = "") -> None:
        """Writes what may quote Terraform, AWS or a file: as it is, and nothing of it as rich's markup."""
        self.console.print(Text(printable(text), style), soft_wrap=True)


def default_directory(prefix: str) -> Path:
    """Where a deployment keeps its state, unless the user says otherwise."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"
    return Path(data) / "covalent-awsbatch" / prefix


def variables(directory: Path, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Collects the variables: those of earlier calls, and over them those that are asked for now.

    Args:
        directory: Of the deployment.
        asked: From options and file.

    Raises:
        TerraformError: A line for each value that cannot work.
    """
    asked = ours(asked)
    values: dict[str, Any] = {}
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region:
        values["region"] = region
    saved = _read(directory / _VARIABLES)
    values.update(saved)
    values.update(asked)
    try:
        limits.credentials_path(str(asked.get("credentials") or ""))  # before it looks like a path
    except ValueError as error:
        raise TerraformError(f"credentials: {error}") from error
    if values.get("credentials"):  # Terraform runs in another directory, and so does Covalent's server
        values["credentials"] = str(Path(values["credentials"]).expanduser().absolute())
    if values == saved:  # taken once, and what is there by them must always go down again
        return values
    try:
        checked = ExecutorInfraDefaults(**values)
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, problem['loc'])) or 'variables'}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors(include_url=False)
        ]
        raise TerraformError("\n".join(lines)) from error
    return checked.model_dump(include=set(values))


def ours(values: Mapping[str, Any]) -> dict[str, Any]:
    """Variables by their names of now, as they are merged and remembered.

    Raises:
        TerraformError: One was given by both of its names, and they differ.
    """
    try:
        return former_names.replaced(values)
    except ValueError as error:
        raise TerraformError(str(error)) from error


def read(path: Path) -> dict[str, Any]:
    """Reads a file of variables: `terraform.tfvars` with plain values, or JSON.

    Raises:
        TerraformError: It is neither, or it contradicts itself.
    """
    text = path.read_text(encoding="utf-8")
    try:
        # With plain values the two languages agree.
        content = json.loads(text) if path.suffix == ".json" else toml.loads(text)
    except ValueError as error:
        raise TerraformError(f"{path}: {error}. It takes lines such as max_vcpus = 64, or a JSON object.") from error
    if not isinstance(content, dict):
        raise TerraformError(f"{path}: not an object of names and values")
    return ours(content)


def _keep_half_made(terraform: Terraform) -> None:
    """Has what an interrupted `up` was making completed instead of replaced.

    Terraform makes a replacement first, because a queue's environments want it so, and all that they are built on has
    to follow. But a second subnet has no room beside the first, and a second role's name is taken. An environment and a
    queue are replaced nevertheless: nothing but a new one mends those that AWS calls INVALID.
    """
    for address, instance in _instances(terraform):
        if address.startswith("aws_") and not address.startswith("aws_batch_") and instance.get("status") == "tainted":
            terraform.answer("untaint", address)


def _instances(terraform: Terraform) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the state knows of that was created: addresses, and what it has about them."""
    state = terraform.answer("state", "pull").strip()
    for resource in json.loads(state).get("resources", []) if state else []:
        if resource["mode"] != "managed":
            continue
        for instance in resource["instances"]:
            key = f"[{json.dumps(instance['index_key'])}]" if "index_key" in instance else ""
            yield f"{resource['type']}.{resource['name']}{key}", instance


def _is_half_made(instance: Mapping[str, Any]) -> bool:
    """Whether it is tainted, or there is another one beside it that was to be replaced by it."""
    return "status" in instance or "deposed" in instance


def _about_strangers(terraform: Terraform, error: str) -> str:
    """What to do about something that AWS has and the state does not know."""
    if not re.search(r"already ?(exists|owned)|duplicate", error, re.IGNORECASE):
        return ""
    return (
        "What exists already belongs to another deployment, or to one that was killed or whose state was lost: choose "
        "another --prefix, delete it, or make it this one's: "
        f"{terraform.name} -chdir={terraform.directory} import ADDRESS NAME\n"
    )


def _section() -> dict[str, Any]:
    path = config_file()
    content = toml.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return dict(content.get("executors", {}).get("awsbatch", {}))


def _lines(section: Mapping[str, Any]) -> list[str]:
    text: str = toml.dumps({"executors": {"awsbatch": dict(section)}})
    return text.splitlines(keepends=True)


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _confirm(question: str, *, yes: bool) -> None:
    if not yes:
        click.confirm(question, abort=True)
