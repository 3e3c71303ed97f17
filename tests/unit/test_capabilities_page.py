"""docs/capabilities.md names an option, a test and peers in every row, and the options and tests are there."""

from __future__ import annotations

import re

import pytest
from support.paths import ROOT

from covalent_awsbatch_plugin.options.container_options import ContainerOptions
from covalent_awsbatch_plugin.options.settings import OPTIONS

PAGE = (ROOT / "docs" / "capabilities.md").read_text(encoding="utf-8")
TABLES = PAGE.split("## Infrastructure")[0]
ROWS = [row.strip("| ").split(" | ") for row in re.findall(r"^\| (?!field|---).*\|$", TABLES, re.MULTILINE)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_is_whole(row: list[str]) -> None:
    field, option, test, peers = row
    assert field.startswith(("`", "any "))
    assert set(re.findall(r"`([a-z][a-z_]*)`", option)) & set(OPTIONS)
    assert peers
    path, _, name = test.strip("`").partition("::")
    source = (ROOT / path).read_text(encoding="utf-8")
    assert not name or re.search(rf"\bdef {name}\(", source)


def test_every_option_of_a_container_has_a_row() -> None:
    named = set(re.findall(r"`([a-z_]+)`", TABLES))
    own = ContainerOptions.__annotations__.keys()
    assert own
    assert own <= named
