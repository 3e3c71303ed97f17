"""Environment variables and tags as one line of text, which is all that a command line or Terraform's variables hold.

A JSON object, or `name:value` with commas between. The colon is for `covalent deploy`, which lets neither a second `=`
nor a quotation mark through; `name=value` is understood, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

RULE = "must be name:value with commas between, or a JSON object"
"""What is allowed."""


def mapping(value: Any) -> dict[str, Any]:
    """Reads such a text; a mapping is taken as it is.

    Raises:
        ValueError: It is neither.
    """
    if isinstance(value, str):
        value = _object(value) if value.lstrip().startswith("{") else _short(value)
    if not isinstance(value, Mapping):
        raise ValueError(RULE)  # noqa: TRY004  (pydantic collects ValueErrors only)
    return dict(value)


def text(value: Any) -> str:
    """Writes what `mapping` reads, as JSON; nothing at all for no pairs.

    Raises:
        ValueError: As `mapping`.
    """
    pairs = mapping(value)
    return json.dumps(pairs) if pairs else ""


def _object(line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{RULE}, and this is no JSON: {error}") from None


def _short(line: str) -> dict[str, str]:
    pairs = {}
    for pair in filter(str.strip, line.split(",")):
        found = re.fullmatch(r"\s*([^:=]+?)\s*[:=](.*)", pair, re.DOTALL)
        if not found:
            raise ValueError(RULE)
        pairs[found[1]] = found[2].strip()
    return pairs
