"""What Covalent's configuration says of the executor, and the value of each option.

A value comes from the call, else from the section `[executors.awsbatch]` of Covalent's configuration, else from the
default.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from .settings import DEFAULTS

SECTION = "executors.awsbatch"
"""The section of Covalent's configuration that holds what a call leaves out."""

_IMMUTABLE = (str, int, float)


def section() -> dict[str, Any]:
    """Covalent's configuration of this executor as it stands there; empty if there is none."""
    from covalent._shared_files.config import get_config

    try:
        entries = get_config(SECTION)
    except (KeyError, TypeError):
        return {}
    return dict(entries) if isinstance(entries, Mapping) else {}


def resolved(given: Mapping[str, Any]) -> dict[str, Any]:
    """Give every option a value: the call's, else the configuration's, else the default. Nothing is checked.

    In the configuration an empty string says nothing: older versions wrote one for each option that was not set.

    Args:
        given: The values of the call, without those not given; all of them count, also 0, "" and False.
    """
    configured = {name: value for name, value in section().items() if name in DEFAULTS and value not in (None, "")}
    values = {**DEFAULTS, **configured, **given}
    # The caller's own dicts stay the caller's; nothing else can be changed in place.
    return {name: value if isinstance(value, _IMMUTABLE) else copy.deepcopy(value) for name, value in values.items()}


def file() -> str:
    """The path of Covalent's configuration file."""
    from covalent._shared_files.config import get_config

    return str(get_config("sdk.config_file"))
