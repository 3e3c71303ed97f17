"""The tests are laid out as the package and the core are, and no file is too long to be read at once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from support.paths import ROOT, TESTS

PACKAGE = ROOT / "python" / "covalent_awsbatch_plugin"
LEVELS = ["unit", "integration", "e2e"]
MOST_LINES = 400
GENERATED = PACKAGE / "options/signature.py"


def folders(path: Path) -> set[str]:
    return {folder.name for folder in path.iterdir() if folder.is_dir() and folder.name != "__pycache__"}


def sources() -> Iterator[Path]:
    """All but what holds nothing but documentation: the core's stub, and the options as a type checker sees them."""
    for place in ("src", "python", "tests", "benches", "scripts"):
        for ending in ("*.py", "*.rs"):
            yield from (path for path in (ROOT / place).rglob(ending) if path != GENERATED)


def test_tests_stand_in_folders_of_the_package_of_the_core_and_of_what_tests_share() -> None:
    shared = {"lab", "support"}
    assert folders(TESTS) == {*LEVELS, *shared, "envelopes"}
    for level in LEVELS:
        assert folders(TESTS / level) <= folders(PACKAGE) | folders(ROOT / "src") | shared, level


def test_a_file_has_at_most_400_lines() -> None:
    found = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}
    assert len(found) > 300
    assert not {path: lines for path, lines in found.items() if lines > MOST_LINES}


def test_no_module_hides_one_of_pythons_beside_a_script_of_users() -> None:
    """The demo runs `local/svm_workflow.py` as a script, and its folder then comes before Python's own modules."""
    names = {path.stem for path in (ROOT / "python/covalent_awsbatch_plugin/local").glob("*.py")}
    assert names & sys.stdlib_module_names == set()
