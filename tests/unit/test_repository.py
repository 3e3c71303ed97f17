"""What GitHub and git's hooks run is a target of the Makefile, so that everybody can run it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TARGETS = set(re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def read(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def is_a_target(command: str) -> bool:
    """Whether it is `make` with variables and targets, and nothing else."""
    make, *arguments = re.sub(r"\$\{\{.*?\}\}", "value", command).split()
    targets = [argument for argument in arguments if not re.fullmatch(r"[A-Z]+=[\w.-]+", argument)]
    return make == "make" and bool(targets) and set(targets) <= TARGETS


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs_targets(path: Path) -> None:
    jobs = read(path)["jobs"].values()
    commands = [step["run"] for job in jobs for step in job.get("steps", ()) if "run" in step]
    assert commands
    assert [command for command in commands if not is_a_target(command)] == []


def test_the_hooks_are_the_parts_of_lint() -> None:
    hooks = [
        hook["entry"] for repository in read(ROOT / ".pre-commit-config.yaml")["repos"] for hook in repository["hooks"]
    ]
    (parts,) = re.findall(r"^lint: (.*?) ##", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert hooks == [f"make {part}" for part in parts.split()]
    assert set(parts.split()) <= TARGETS
