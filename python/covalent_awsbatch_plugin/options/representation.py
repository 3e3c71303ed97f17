"""How an executor shows itself: what was given to it, and in a notebook where each value comes from.

No value of an environment variable or of a job definition's field is shown, no key that somebody put in the place of a
path, and no password in a URL.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from covalent_awsbatch_plugin.printable import one_line

from . import configuration, limits
from .definition import definition
from .settings import DEFAULTS, OPTIONS, Settings

_SECRET = frozenset({"environment", "job_definition_overrides"})
"""Options of which names alone are shown."""

_CELL = "padding:1px 12px 1px 0;text-align:left;vertical-align:top;background:none;border:none"


def text(name: str, given: Mapping[str, Any]) -> str:
    """An executor as Python writes it, with the options that were given.

    Args:
        name: Name of its class.
        given: Their values.
    """
    return f"{name}({', '.join(f'{option}={_shown(option, value)}' for option, value in given.items())})"


def table(name: str, given: Mapping[str, Any]) -> str:
    """The same as HTML: each option's value here and now, and whether it was given, stands in the file, or is default.

    Args:
        name: Name of its class.
        given: Values of the options that were given.
    """
    section = configuration.section()
    in_file = [one for one in OPTIONS if one not in given and section.get(one) not in (None, "")]
    values = configuration.resolved(given)
    said = [*given, *in_file]
    others = [one for one in OPTIONS if one not in said]
    rows = [_row(one, values[one], "given" if one in given else "file") for one in said]
    defaults = [_row(one, DEFAULTS[one], "default") for one in others]
    file = f"<div>file: {_escaped(configuration.file())}, section [{configuration.SECTION}]</div>" if in_file else ""
    return (
        f'<div style="line-height:1.5"><b>{_escaped(name)}</b>{_table(rows)}'
        f"<details><summary>{len(others)} defaults</summary>{_table(defaults)}</details>{file}"
        "<div>What was not given gets its value on Covalent's server, when a task begins.</div></div>"
    )


def _row(option: str, value: Any, source: str) -> str:
    about = html.escape(definition(Settings.model_fields[option]).plain, quote=True)
    cells = (
        f'<td style="{_CELL}" title="{about}">{option}</td>',
        f'<td style="{_CELL};font-family:monospace;overflow-wrap:anywhere">{_escaped(_shown(option, value))}</td>',
        f'<td style="{_CELL};opacity:0.75">{source}</td>',
    )
    return f'<tr style="background:none">{"".join(cells)}</tr>'


def _table(rows: list[str]) -> str:
    return f'<table style="border:none;border-collapse:collapse">{"".join(rows)}</table>' if rows else ""


def _shown(option: str, value: Any) -> str:
    if option in _SECRET and value:
        names = value if isinstance(value, Mapping) else ()
        return f"{{{', '.join(f'{limits.written(one)}: ...' for one in names)}}}"
    if option == "credentials" and value:
        try:
            limits.credentials_path(str(value))
        except ValueError:
            return "..."
    if option == "endpoint_url" and isinstance(value, str):
        value = limits.without_password(value)
    return one_line(limits.shown(value))


def _escaped(text: str) -> str:
    return html.escape(one_line(text))
