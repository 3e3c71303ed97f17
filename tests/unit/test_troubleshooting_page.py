"""docs/troubleshooting.md has an entry for each cause, and quotes what the programs really say."""

from __future__ import annotations

import re
from functools import cache

import pytest
from support.documentation import blocks
from support.paths import ROOT

PAGE = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
CAUSES = re.findall(r'Self::\w+ => "(\w+)"', (ROOT / "src/batch/outcome/cause.rs").read_text(encoding="utf-8"))
WAITING = (ROOT / "src/batch/waiting.rs").read_text(encoding="utf-8").partition("const KINDS")[2].partition("KINDS")[0]
REASONS = re.findall(r'"([A-Z_]{6,}(?::[A-Z_]+)?)"', WAITING)


@cache
def said() -> str:
    """The texts of the core and of the package, with what continues on the next line joined."""
    paths = [*(ROOT / "src").rglob("*.rs"), *(ROOT / "python/covalent_awsbatch_plugin/task").rglob("*.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in paths)
    text = re.sub(r"\\\n\s*", "", text)
    text = re.sub(r'"\s*\n\s*f?"', "", text)
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize("cause", CAUSES)
def test_each_cause_has_an_entry(cause: str) -> None:
    (entry,) = [text for text in PAGE.split("\n### ") if f"Cause `{cause}`." in text]
    assert "```text\n" in entry


def test_there_are_no_entries_of_other_causes() -> None:
    assert len(CAUSES) > 20
    assert sorted(re.findall(r"Cause `(\w+)`\.", PAGE)) == sorted(CAUSES)


@pytest.mark.parametrize("reason", REASONS)
def test_each_reason_to_wait_is_explained(reason: str) -> None:
    assert f"| `{reason}` |" in PAGE


@pytest.mark.parametrize("message", blocks("docs/troubleshooting.md", "text"))
def test_a_message_is_what_the_program_says(message: str) -> None:
    """Each of its parts, between what differs from job to job, stands in the source."""
    parts = [" ".join(part.split()).strip(" :;().,") for part in message.split("…")]
    assert any(len(part.split()) > 1 for part in parts)
    for part in parts:
        assert part in said(), part
