"""The tests are laid out as the package and the core are."""

from __future__ import annotations

from pathlib import Path

from support.paths import ROOT, TESTS

PACKAGE = ROOT / "python" / "covalent_awsbatch_plugin"
LEVELS = ["unit", "integration", "e2e"]


def folders(path: Path) -> set[str]:
    return {folder.name for folder in path.iterdir() if folder.is_dir() and folder.name != "__pycache__"}


def test_tests_stand_in_folders_of_the_package_of_the_core_and_of_what_tests_share() -> None:
    shared = {"lab", "support"}
    assert folders(TESTS) == {*LEVELS, *shared, "envelopes"}
    for level in LEVELS:
        assert folders(TESTS / level) <= folders(PACKAGE) | folders(ROOT / "src") | shared, level
