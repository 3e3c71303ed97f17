"""How an option is written down: once, as a field of `settings.Settings`, with all that is made of it beside it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field
from pydantic.fields import FieldInfo

if TYPE_CHECKING:
    from pydantic import BaseModel

    class OptionGroup(BaseModel):
        """See below."""
else:

    class OptionGroup:
        """Options that become fields of `Settings`.

        It is a model to type checkers alone: pydantic takes milliseconds for each, of every program that imports
        Covalent.
        """


@dataclass(frozen=True)
class Variable:
    """What an option is as a variable of `deploy`, where that is something else.

    Attributes:
        doc: What it is there.
        default: Its default there; None for that of the option.
    """

    doc: str
    default: str | None = None


@dataclass(frozen=True)
class Definition:
    """What there is to know of an option beside its type, its default and its rule.

    Attributes:
        doc: What it is, for people: in the constructor's docstring, `docs/options.md` and the help of commands.
        command_line: Whether `doctor` and `policy` take it.
        deploy: What it is as a variable of `deploy`; None if that is the same.
    """

    doc: str
    command_line: bool = False
    deploy: Variable | None = None

    @property
    def plain(self) -> str:
        """The same text for a terminal, which has no Markdown."""
        return self.doc.replace("`", "'")


def option(
    default: Any,
    *,
    rule: str,
    doc: str,
    command_line: bool = False,
    deploy: Variable | None = None,
    **constraints: Any,
) -> Any:
    """Defines an option.

    Args:
        default: Its default.
        rule: What is allowed, as an error message quotes it: "must be …".
        doc: As `Definition` has it, and so the next two.
        command_line: See above.
        deploy: See above.
        **constraints: What `pydantic.Field` takes, such as `ge` and `le`.
    """
    extra = asdict(Definition(doc, command_line, deploy))
    return Field(default=default, description=rule, json_schema_extra=extra, **constraints)


def definition(field: FieldInfo) -> Definition:
    """What was given to `option`.

    Args:
        field: A field of `Settings`.
    """
    assert isinstance(field.json_schema_extra, dict)
    extra: dict[str, Any] = {**field.json_schema_extra}
    variable = extra.pop("deploy")
    return Definition(**extra, deploy=Variable(**variable) if variable else None)
