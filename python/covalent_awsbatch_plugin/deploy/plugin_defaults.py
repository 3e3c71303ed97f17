"""The executor's options as `covalent deploy` sees them."""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from covalent_awsbatch_plugin.options.settings import Settings


class ExecutorPluginDefaults(Settings):
    """The options with their defaults. Covalent writes None where Terraform says `null`: that is the default."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, values: Any) -> Any:
        return {name: value for name, value in (values or {}).items() if value is not None}
