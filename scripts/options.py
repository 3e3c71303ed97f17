"""Writes what is made of the options' definitions in `options/settings.py`: run it after a change there.

That is `options/signature.py`, the tables of `docs/options.md` and `assets/infra/options.tf`. `make lint` runs it with
`--check`, which writes nothing and fails if one of them is out of date.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from covalent_awsbatch_plugin.deploy.infra import ExecutorInfraDefaults
from covalent_awsbatch_plugin.options import limits, pairs
from covalent_awsbatch_plugin.options.definition import definition
from covalent_awsbatch_plugin.options.settings import OPTIONS, Settings

ROOT = Path(__file__).resolve().parents[1]
"""The checkout."""

PACKAGE = Path("python/covalent_awsbatch_plugin")
"""The package in it."""

POSITIONAL = 16
"""So many options are positional, as in version 0.42.0."""

PAGE = Path("docs/options.md")
"""The page with the tables."""

GROUPS: dict[str, tuple[str, ...]] = {
    "Resources of a job": (
        "vcpu",
        "memory",
        "num_gpus",
        "nodes",
        "node_results",
        "efa",
        "platform",
        "ephemeral_storage",
        "assign_public_ip",
        "environment",
        "tags",
    ),
    "Time, attempts and what comes after": (
        "time_limit",
        "retry_attempts",
        "retry_on",
        "retry_memory_factor",
        "retry_queues",
        "spot_notice",
        "runnable_timeout",
        "poll_freq",
        "checkpoint",
        "checkpoint_interval",
        "s3_cleanup",
        "on_server_stop",
        "resume_on_start",
    ),
    "Image and packages": (
        "container_image_uri",
        "runtime",
        "architecture",
        "packages",
        "packages_required",
        "ecr_repo_name",
        "batch_job_definition_name",
    ),
    "Container": (
        "volumes",
        "secrets",
        "shared_memory",
        "tmpfs",
        "ulimits",
        "devices",
        "privileged",
        "user",
        "read_only_root",
        "init",
        "stop_timeout",
        "ipc_mode",
    ),
    "Pod on EKS": ("eks_namespace", "eks_service_account"),
    "Place in the queue": ("share_identifier", "scheduling_priority", "consumable_resources"),
    "What no other option says": ("job_definition", "job_definition_overrides"),
    "Where it runs": (
        "region",
        "batch_queue",
        "s3_bucket_name",
        "s3_bucket_owner",
        "s3_kms_key_id",
        "batch_execution_role_name",
        "batch_job_role_name",
        "batch_job_log_group_name",
    ),
    "Who asks AWS": ("profile", "credentials", "endpoint_url", "cache_dir"),
}
"""The options by what they are about, as the page shows them."""

REST = "More"
"""Heading of the options that are in no group."""

_WIDTH = 120
_BEGIN = "<!-- The options, by scripts/options.py. -->\n"
_END = "<!-- End of the options. -->\n"

_SIGNATURE = '''\
"""The options as a type checker and an editor see them. Written by `scripts/options.py` from `settings.py`."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from .settings import OPTIONS


class OptionKeywords:
    """The options as attributes of an executor, and as keywords of its constructor."""

    if TYPE_CHECKING:

        def _set_options(self, given: dict[str, Any], unknown: dict[str, Any]) -> None:
            """Where a class derived from this one does what an executor does with its options."""

{attributes}

    def __init__(  # noqa: PLR0913, PLR0917  (the order is that of the public plugin)
        self,
{keywords}
        **unknown: Any,
    ) -> None:
        """An option that is left out, or None, gets its value where and when the task runs.

        Args:
{arguments}
            **unknown: Keys that another version left in the configuration: not used, with one warning.

        Raises:
            SettingsError: Values that AWS would refuse, all of them in one message. What comes from the configuration
                is checked when a task runs, and so is whether it goes together with what was given.
            TypeError: A keyword that is no option.
        """
        arguments = locals()  # first of all, while it holds nothing else
        super().__init__()
        self._set_options({{name: arguments[name] for name in OPTIONS if arguments[name] is not None}}, unknown)
'''

_TERRAFORM = """\
# The options of AWSBatchExecutor as variables, and their values as they were given. Written by scripts/options.py from
# options/settings.py.

{variables}
locals {{
  options = {{
{values}
  }}
}}
"""

_VARIABLE = """\
variable "{name}" {{
  type        = {type}
  default     = {default}
  description = {description}
{validation}}}
"""

_PAIRS_VALIDATION = """
  validation {{
    condition = (
      startswith(trimspace(var.{name}), "{{")
      ? can({json})
      : alltrue([for pair in compact(split(",", var.{name})) : can(regex("^[^:=]+[:=]", pair))])
    )
    error_message = "{name} {rule}."
  }}
"""


# How a JSON object is looked at: whether it is one, or whether all of it is text.
_ANY = "jsondecode(var.NAME)"
_JSON: dict[Any, str] = {dict[str, str]: "{ for name, value in jsondecode(var.NAME) : name => tostring(value) }"}


def signature() -> str:
    """`options/signature.py`."""
    fields = Settings.model_fields
    keywords = [f"{' ' * 8}{name}: {_accepted(field)} | None = None," for name, field in fields.items()]
    keywords.insert(POSITIONAL, f"{' ' * 8}*,")
    arguments = (
        _wrapped(f"{name}: {definition(field).doc} Default: {_shown(field.default)}.", 12, 16)
        for name, field in fields.items()
    )
    attributes = "\n".join(f"    {name}: {_type(field)}\n{_documentation(field)}" for name, field in fields.items())
    return _SIGNATURE.format(attributes=attributes, keywords="\n".join(keywords), arguments="\n".join(arguments))


def page(before: str) -> str:
    """The page of the options with the tables as they have to be.

    Args:
        before: The page.

    Raises:
        SystemExit: It has no place for the tables.
    """
    grouped = {name for names in GROUPS.values() for name in names}
    groups = {**GROUPS, REST: tuple(name for name in OPTIONS if name not in grouped)}
    tables = [_table(heading, names) for heading, names in groups.items() if names]
    positional = ", ".join(f"`{name}`" for name in list(OPTIONS)[:POSITIONAL])
    tables.append(
        f"## By position\n\nAs in version 0.42.0, these may be given without their names, in this order: {positional}."
    )
    place = re.compile(f"(?<={re.escape(_BEGIN)}).*?(?={re.escape(_END)})", re.DOTALL)
    if not place.search(before):
        sys.exit(f"{PAGE} has no place for the tables, between {_BEGIN.strip()} and {_END.strip()}")
    return place.sub(lambda _: "\n" + "\n\n".join(tables) + "\n\n", before)


def _table(heading: str, names: Iterable[str]) -> str:
    """A group of options under its heading."""
    fields = {name: Settings.model_fields[name] for name in names}
    rows = [f"| `{name}` | `{_plain(field.default)}` | {definition(field).doc} |" for name, field in fields.items()]
    return "\n".join([f"## {heading}", "", "| option | default | |", "|---|---|---|", *rows])


def terraform() -> str:
    """`assets/infra/options.tf`, formatted as by `terraform fmt`."""
    variables = []
    for name in OPTIONS:
        field = ExecutorInfraDefaults.model_fields[name]
        variables.append(
            _VARIABLE.format(
                name=name,
                type={bool: "bool", int: "number", float: "number", str: "string"}[_class(field)],
                default=_json(field.default),
                description=_json(field.description),
                validation=_validation(name) if get_origin(Settings.model_fields[name].annotation) is dict else "",
            )
        )
    width = max(map(len, OPTIONS))
    values = [f"    {name:<{width}} = var.{name}" for name in OPTIONS]
    return _TERRAFORM.format(variables="\n".join(variables), values="\n".join(values))


def _validation(name: str) -> str:
    """What Terraform checks of an option that is a dict, and comes as a text."""
    looked_at = _JSON.get(Settings.model_fields[name].annotation, _ANY).replace("NAME", name)
    return _PAIRS_VALIDATION.format(name=name, rule=pairs.RULE, json=looked_at)


def contents(root: Path) -> Iterator[tuple[Path, str]]:
    """Each file that is written, and what has to stand in it.

    Args:
        root: The checkout.
    """
    yield root / PACKAGE / "options/signature.py", signature()
    yield root / PACKAGE / "assets/infra/options.tf", terraform()
    yield root / PAGE, page((root / PAGE).read_text(encoding="utf-8"))


def _class(field: FieldInfo) -> type:
    assert isinstance(field.annotation, type)
    return field.annotation


def _type(field: FieldInfo) -> str:
    """The type of an option's attribute."""
    if get_origin(field.annotation) is Literal:
        return f"Literal[{', '.join(_json(value) for value in get_args(field.annotation))}]"
    if get_origin(field.annotation) in (dict, list) or field.annotation == str | list[str]:
        return str(field.annotation).replace("typing.", "")
    return "float" if field.annotation == int | float else _class(field).__name__


def _accepted(field: FieldInfo) -> str:
    """The type of an option's keyword."""
    return f"{_type(field)} | PathLike[str]" if limits.FROM_PATH in field.metadata else _type(field)


def _documentation(field: FieldInfo) -> str:
    """An attribute's docstring."""
    text = _wrapped(f'"""{definition(field).doc}', 4, 4)
    return f'{text}"""' if "\n" not in text and len(text) + 3 <= _WIDTH else f'{text}\n    """'


def _wrapped(text: str, first: int, others: int) -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=" " * first,
        subsequent_indent=" " * others,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _shown(default: Any) -> str:
    """A default in a docstring."""
    if isinstance(default, Mapping):
        return "none"
    return "empty" if default == "" else f"`{default}`"


def _plain(default: Any) -> str:
    """A default as the configuration file has it, a text without its quotes."""
    return default if isinstance(default, str) and default else _json(default)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def main() -> None:
    """Writes the files, or compares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, and fail if a file is out of date")
    parser.add_argument("--root", type=Path, default=ROOT, help="checkout whose files are meant")
    options = parser.parse_args()
    stale = []
    for path, content in contents(options.root):
        if path.exists() and path.read_text(encoding="utf-8") == content:
            continue
        stale.append(str(path.relative_to(options.root)))
        if not options.check:
            path.write_text(content, encoding="utf-8")
    if options.check and stale:
        sys.exit(f"out of date: {', '.join(stale)}. Run scripts/options.py and commit what it writes")


if __name__ == "__main__":
    main()
