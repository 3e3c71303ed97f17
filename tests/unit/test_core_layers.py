"""The core's modules use each other one way: a folder only those above it in `lib.rs`, and no files in a circle.

The package's modules are held to the same by import-linter (`pyproject.toml`).
"""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from support.paths import ROOT

SRC = ROOT / "src"
FOLDERS = re.findall(r"^(?:pub )?mod (\w+);", (SRC / "lib.rs").read_text(encoding="utf-8"), re.MULTILINE)
PATH = re.compile(r"\b(crate|super)((?:::\w+)*)(?:::\{([^}]*)\})?")


def module_of(path: Path) -> tuple[str, ...]:
    parts = path.relative_to(SRC).with_suffix("").parts
    return parts[:-1] if parts[-1] == "mod" else parts


MODULES = {module_of(path): path for path in SRC.rglob("*.rs") if path.name not in ("lib.rs", "tests.rs")}


def code_of(path: Path) -> str:
    """The source without its tests and comments; of a folder's `mod.rs` without what it exports of its own files."""
    source = path.read_text(encoding="utf-8").split("#[cfg(test)]")[0]
    source = re.sub(r"\{\{|\}\}", "", re.sub(r"//[^\n]*", "", source))
    return re.sub(r"^pub use \w+::[^;]*;", "", source, flags=re.MULTILINE)


def used_by(module: tuple[str, ...]) -> set[tuple[str, ...]]:
    """The modules that a file names, the longest that there are."""
    used = set()
    path = MODULES[module]
    for start, dotted, braces in PATH.findall(code_of(path)):
        base: tuple[str, ...] = () if start == "crate" else module[:-1]
        names = tuple(name for name in dotted.split("::") if name)
        heads = [name.strip().split("::")[0].split(" as ")[0] for name in braces.split(",")] if braces else [""]
        for head in heads:
            found = (*base, *names, *([head] if head not in ("", "self") else []))
            while found and found not in MODULES:
                found = found[:-1]
            if found and found != module:
                used.add(found)
    return used


def test_a_folder_uses_only_those_above_it() -> None:
    assert FOLDERS[0] == "error"
    assert FOLDERS[-1] == "python"
    assert {module[0] for module in MODULES} == set(FOLDERS)
    wrong = [
        f"{'::'.join(module)} uses {'::'.join(used)}"
        for module in MODULES
        for used in used_by(module)
        if FOLDERS.index(used[0]) > FOLDERS.index(module[0])
    ]
    assert not wrong


def test_no_files_use_each_other_in_a_circle() -> None:
    # What a `mod.rs` says of its own files is the folder's content and no use of them.
    graph = {
        module: {used for used in used_by(module) if used[: len(module)] != module and used != module[:-1]}
        for module in MODULES
    }
    assert len(graph) > 40
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = " -> ".join("::".join(module) for module in error.args[1])
        raise AssertionError(f"{circle} (each is used by the next)") from None


def test_a_folder_says_what_lives_there_and_what_it_may_use() -> None:
    for module, path in MODULES.items():
        if path.name == "mod.rs" and len(module) == 1:
            first = re.match(r"(?://![^\n]*\n)+", path.read_text(encoding="utf-8"))
            assert first, path
            assert 2 <= len(first[0].splitlines()) <= 7, path
