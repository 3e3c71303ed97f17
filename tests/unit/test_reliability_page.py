"""Every test that docs/reliability.md and SECURITY.md name exists, and every promise names one."""

from __future__ import annotations

import re

import pytest
from support.paths import ROOT

PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
ENDINGS = (ROOT / "tests" / "support" / "every_ending.py").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([\w/.-]+\.(?:py|rs))::(\w+)(?:\[([^\]`]+)\])?`", PAGE + SECURITY)))


def test_tests_are_named() -> None:
    assert len(NAMED) > 40


@pytest.mark.parametrize(("path", "name", "case"), NAMED)
def test_a_test_that_is_named_exists(path: str, name: str, case: str) -> None:
    source = (ROOT / path).read_text(encoding="utf-8")
    word = "fn" if path.endswith(".rs") else "def"
    assert re.search(rf"\b{word} {name}\(", source)
    if case:
        assert f'"{case}"' in source + ENDINGS


@pytest.mark.parametrize("section", re.findall(r"^### (.*?)$", SECURITY, re.MULTILINE)[1:])
def test_who_is_trusted_with_what_names_its_tests(section: str) -> None:
    assert "::" in SECURITY.split(f"### {section}\n")[1].split("\n### ")[0]


@pytest.mark.parametrize("section", re.findall(r"^## (\d\..*?)$", PAGE, re.MULTILINE))
def test_a_promise_names_its_tests(section: str) -> None:
    text = PAGE.split(f"## {section}\n")[1].split("\n## ")[0]
    assert "::" in text
