"""What `covalent-awsbatch deploy` does: a queue and all it needs, from an empty account and back.

It runs the same Terraform files as `covalent deploy up awsbatch`, with any Terraform or OpenTofu from 1.4 on, without
Docker, and with the state in a directory of the user's own instead of the installed package.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from covalent_awsbatch_plugin.printable import one_line, printable
from covalent_awsbatch_plugin.show.wrapping import hanging, width

from . import changes, configuration, files, overview, state
from .infra import ExecutorInfraDefaults
from .terraform import Terraform, TerraformError

INFRA = Path(__file__).parents[1] / "assets" / "infra"
"""The Terraform files of this package."""

LAST = "terraform_data.configuration"
"""What Terraform makes last and deletes first."""

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
        return (self.directory / files.VARIABLES).exists()

    def plan(self, *, full: bool = False) -> int:
        """Shows what `up` would do.

        Args:
            full: In Terraform's own words, with every attribute.

        Returns:
            How many things it would create, change or delete.
        """
        number = self._planned(self._ready(), full=full)
        if number and not full:
            self._say("Every attribute: covalent-awsbatch deploy plan --full")
        return number

    def up(self, *, yes: bool, configure: bool, full: bool = False) -> None:
        """Creates or changes everything after showing and asking, then points Covalent's configuration at it."""
        terraform = self._ready()
        state.keep_half_made(terraform)
        number = self._planned(terraform, full=full)
        if number:
            _confirm("Do this?", yes=yes)
        # Not earlier: a plan that nobody wanted leaves no trace.
        files.save(self.directory / files.VARIABLES, self.values)
        with self._to_its_end():
            try:
                if number:
                    self._apply(terraform, number)
            except TerraformError as error:
                raise TerraformError(
                    f"{error}\n{state.advice_on_existing(terraform, str(error))}"
                    "What was created is known: repeat `up` once the cause is gone, or undo it with `down`."
                ) from error
        outputs = self._outputs(terraform)
        files.save(self.directory / files.EXECUTOR, outputs["executor"])
        if outputs.get("repository_url"):
            self._say(f"Images of your own go to {outputs['repository_url']}")
        if configure:
            configuration.configure(outputs["executor"], self.values, self._say, yes=yes)
        self.show_places(outputs["executor"], "covalent-awsbatch doctor --run")

    def show_places(self, executor: Mapping[str, Any], following: str) -> None:
        """Writes where the deployment is, and what to type next.

        Args:
            executor: Options of the executor.
            following: The command.
        """
        self._say("")
        for name, value in overview.places(executor).items():
            self._say(f"{name:<8} {value}")
        self._say(f"Next: {following}")

    def down(self, *, yes: bool, full: bool = False) -> None:
        """Deletes everything after showing and asking, and takes back what stands of it in Covalent's configuration."""
        terraform = self._ready()
        # A `down` that broke off has taken the outputs away before all else.
        executor = self._outputs(terraform).get("executor") or files.load(self.directory / files.EXECUTOR)
        number = self._planned(terraform, "-destroy", full=full)
        if number and executor:
            from . import contents  # which imports Covalent, and that completes its configuration

            with self.console.status("counting objects and jobs"):
                said = contents.counted(executor)
            for sentence in said:
                self._say(sentence)
        if number:
            _confirm("Delete all this, with everything in the bucket and the repository?", yes=yes)
        with self._to_its_end():
            try:
                if number:
                    self._apply(terraform, number)
            except TerraformError as error:
                raise TerraformError(f"{error}\nThe rest is known: repeat `down` once the cause is gone.") from error
        configuration.forget(executor, self._say)
        (self.directory / files.EXECUTOR).unlink(missing_ok=True)

    def status(self) -> tuple[str, list[str]]:
        """What there is.

        Returns:
            `up`, `incomplete` or `down`, and Terraform's addresses of what there is.
        """
        there = list(state.instances(self._ready()))
        addresses = list(dict.fromkeys(address for address, _ in there))
        half_made = any(state.is_half_made(instance) for _, instance in there)
        whole = LAST in addresses and not half_made and not (self.directory / files.UNFINISHED).exists()
        return "up" if whole else "incomplete" if there else "down", addresses

    @property
    def place(self) -> str:
        """Where the state is."""
        backend = files.load(self.directory / files.BACKEND).get("terraform", {}).get("backend", {}).get("s3")
        return f"s3://{backend['bucket']}/{backend['key']}" if backend else str(self.directory)

    @contextmanager
    def _to_its_end(self) -> Iterator[None]:
        """Has `status` say so if what is done here is not finished."""
        (self.directory / files.UNFINISHED).touch()
        yield
        (self.directory / files.UNFINISHED).unlink()

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
            files.save(self.directory / files.BACKEND, self._backend(terraform))
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

    @property
    def executor(self) -> dict[str, Any]:
        """The options of the executor as they were after the last `up` from this directory."""
        return files.load(self.directory / files.EXECUTOR)

    def _planned(self, terraform: Terraform, *arguments: str, full: bool) -> int:
        files.save(self.directory / files.ASKED, self.values)
        with self.console.status(f"{terraform.name} plan"):
            terraform.answer("plan", f"-out={files.PLAN}", f"-var-file={files.ASKED}", *arguments)
            planned = json.loads(terraform.answer("show", "-json", files.PLAN)).get("resource_changes", [])
        number = changes.count(planned)
        if not number:
            self._say("Nothing to do: everything is as it should be.")
        elif full:
            self._say(terraform.answer("show", files.PLAN).strip())
        else:
            columns = width(self.console)
            for line in changes.summary(planned):
                for piece in hanging(line.text, line.before, " " * len(line.before), columns):
                    self._say(piece, line.style)
        return number

    def _apply(self, terraform: Terraform, number: int) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task("", total=number)
            under_way: dict[str, bool] = {}

            def on_event(event: Mapping[str, Any]) -> None:
                hook = event.get("hook", {})
                address = one_line(hook.get("resource", {}).get("addr", ""))
                if event["type"] == "apply_start":
                    under_way[address] = False
                elif event["type"] == "apply_progress" and not self.console.is_terminal:
                    # Where nothing is drawn, what takes long says so once.
                    if not under_way.get(address, True):
                        self._say(f"working  {address} ({hook.get('elapsed_seconds', 0):.0f} s so far)")
                    under_way[address] = True
                elif event["type"] == "apply_complete":
                    under_way.pop(address, None)
                    progress.advance(task)
                    self._say(f"{_DONE[hook['action']]:<8} {address} ({hook.get('elapsed_seconds', 0):.0f} s)")
                elif event["type"] == "apply_errored":
                    under_way.pop(address, None)
                elif event["type"] == "interruption":
                    self._say(event["@message"])
                first = next(iter(under_way), "")
                others = f" and {len(under_way) - 1} more" if len(under_way) > 1 else ""
                progress.update(task, description=first + others)

            terraform.follow(on_event, "apply", files.PLAN)

    def _outputs(self, terraform: Terraform) -> dict[str, Any]:
        return {name: output["value"] for name, output in json.loads(terraform.answer("output", "-json")).items()}

    def _say(self, text: str, style: str = "") -> None:
        """Writes what may quote Terraform, AWS or a file: as it is, and nothing of it as rich's markup."""
        self.console.print(Text(printable(text), style), soft_wrap=True)


def default_directory(prefix: str) -> Path:
    """Where a deployment keeps its state, unless the user says otherwise."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"
    return Path(data) / "covalent-awsbatch" / prefix


def _confirm(question: str, *, yes: bool) -> None:
    if not yes:
        click.confirm(question, abort=True)
