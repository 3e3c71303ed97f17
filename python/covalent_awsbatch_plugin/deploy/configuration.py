"""Points Covalent's configuration at what was created, and takes that back."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from typing import Any

import click
import toml

from covalent_awsbatch_plugin.local.configuration import config_file, edit
from covalent_awsbatch_plugin.options.settings import DEFAULTS

PLACES = (
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
"""Options that name what was created. The others say how jobs shall run, and are written only if they were given."""

# They do, too, but say something only where they are not the executor's defaults.
_KINDS = ("platform", "assign_public_ip", "ephemeral_storage", "share_identifier")

Say = Callable[..., None]
"""Writes a line, in a colour if a second argument names one."""


def configure(executor: Mapping[str, Any], given: Collection[str], say: Say, *, yes: bool) -> None:
    """Writes the executor's options into Covalent's configuration, after showing and asking.

    Args:
        executor: The options of what was created.
        given: Variables that were given.
        say: How to show something.
        yes: Whether not to ask.
    """
    before = _section()
    names = {
        *PLACES,
        *given,
        # What is not on Fargate is found from the queue, as it is on Fargate, too; there it saves a call.
        *(name for name in _KINDS if executor[name] not in (DEFAULTS[name], "EC2") or name in before),
    }
    wanted = {name: executor[name] for name in executor if name in names}
    # An empty value says nothing to the executor; it is written only where it replaces one that says something.
    after = {**before, **{name: value for name, value in wanted.items() if value != "" or name in before}}
    if not _difference(before, after, say):
        say(f"{config_file()} has it all already.")
        return
    if not yes and not click.confirm("Write this into Covalent's configuration?"):
        return
    edit(config_file(), lambda section: section.update(after))
    say("Restart the Covalent server so that it reads it: covalent restart")


def forget(executor: Mapping[str, Any], say: Say) -> None:
    """Takes back what stands in Covalent's configuration of what was deleted.

    Args:
        executor: The options of what was created.
        say: How to show something.
    """
    before = _section()
    gone = [name for name in PLACES + _KINDS if name in before and before[name] == executor.get(name)]
    if "batch_queue" not in gone:  # Covalent uses another queue by now
        return
    _difference(before, {name: value for name, value in before.items() if name not in gone}, say)

    def remove(section: dict[str, Any]) -> None:
        for name in gone:
            section.pop(name, None)

    edit(config_file(), remove)


def _difference(before: Mapping[str, Any], after: Mapping[str, Any], say: Say) -> bool:
    lines = list(difflib.unified_diff(_lines(before), _lines(after), str(config_file()), str(config_file()), n=1))
    for line in lines:
        say(line.rstrip("\n"), {"+": "green", "-": "red"}.get(line[0], ""))
    return bool(lines)


def _section() -> dict[str, Any]:
    path = config_file()
    content = toml.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return dict(content.get("executors", {}).get("awsbatch", {}))


def _lines(section: Mapping[str, Any]) -> list[str]:
    text: str = toml.dumps({"executors": {"awsbatch": dict(section)}})
    return text.splitlines(keepends=True)
