"""Executors from the outside."""

from __future__ import annotations

from typing import Any

from covalent_awsbatch_plugin.options.settings import OPTIONS


def options_of(executor: Any) -> dict[str, Any]:
    """Every option with its value."""
    return {name: getattr(executor, name) for name in OPTIONS}
