"""The variables of a deployment: from options and files, over those of earlier calls."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import toml
from pydantic import ValidationError

from covalent_awsbatch_plugin.options import limits

from . import files, former_names
from .infra import ExecutorInfraDefaults
from .terraform import TerraformError


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
    before = files.load(directory / files.VARIABLES)
    values.update(before)
    values.update(asked)
    try:
        limits.credentials_path(str(asked.get("credentials") or ""))  # before it looks like a path
    except ValueError as error:
        raise TerraformError(f"credentials: {error}") from error
    if values.get("credentials"):  # Terraform runs in another directory, and so does Covalent's server
        values["credentials"] = str(Path(values["credentials"]).expanduser().absolute())
    if values == before:  # taken once, and what is there by them must always go down again
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
