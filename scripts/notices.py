"""Writes THIRD-PARTY-NOTICES: the licences of all crates whose code is in the wheel. `make notices` after a change.

`make lint` runs it with `--check`, which writes nothing and fails if the file is out of date.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
"""The checkout."""

NAMES = ("LICEN", "COPYING", "COPYRIGHT", "NOTICE", "UNLICEN")
"""What the names of files with a licence begin with."""

OTHERS = ("tests", "test", "benches", "examples", "fuzz")
"""Directories of a crate whose content is not linked."""

# Texts that crates leave out, and what is linked without being a crate; from the repositories.
_TEXTS = Path(__file__).with_name("licenses")
_ABSENT = {"base64-simd": "nugine-simd.txt", "vsimd": "nugine-simd.txt"}
# Linked on UEFI firmware alone, for which there is no wheel.
_NOWHERE = "r-efi"
_STANDARD_LIBRARY = ("Rust's standard library", "MIT OR Apache-2.0", "rust.txt")

_HEAD = """\
The compiled part of covalent-awsbatch-plugin, covalent_awsbatch_plugin/_core, contains code of the packages below, for
one platform or another. The list is followed by the texts of their licences, each once, with who is under it. Where a
package lets one choose, all texts that it comes with are here.
"""
_RULE = "=" * 100


def linked() -> list[tuple[str, str]]:
    """Name and version of each crate that is linked on some platform: what only builds or makes code is not."""
    flags = ["--locked", "--package", "covalent-awsbatch-plugin", "--target", "all", "--edges", "normal,no-proc-macro"]
    tree = _cargo("tree", *flags, "--prefix", "none", "--no-dedupe", "--format", "{p}")
    names = {tuple(line.split()[:2]) for line in tree.splitlines() if "covalent-awsbatch-plugin" not in line.split()[0]}
    return sorted((name, version.removeprefix("v")) for name, version in names if name != _NOWHERE)


def notices() -> str:
    """The file's content.

    Raises:
        SystemExit: A crate comes without a licence's text.
    """
    packages: list[dict[str, Any]] = json.loads(_cargo("metadata", "--locked", "--format-version", "1"))["packages"]
    by_name = {(package["name"], package["version"]): package for package in packages}
    listed = []
    texts: dict[str, tuple[str, list[str]]] = {}
    for name, version in linked():
        package = by_name[name, version]
        listed.append(f"{name} {version}: {package['license']}")
        files = _files(name, Path(package["manifest_path"]).parent)
        if not files:
            sys.exit(
                f"{name} {version} ({package['license']}) comes without the text of its licence: put it into {_TEXTS}"
            )
        for file in files:
            _add(texts, file, f"{name} {version}")
    name, licence, file_name = _STANDARD_LIBRARY
    listed.append(f"{name}: {licence}")
    _add(texts, _TEXTS / file_name, name)
    parts = [f"{_RULE}\n{', '.join(dict.fromkeys(whose))}\n{_RULE}\n\n{text}\n" for text, whose in texts.values()]
    return "\n".join([_HEAD, *listed, "", *parts])


def _files(name: str, directory: Path) -> list[Path]:
    if name in _ABSENT:
        return [_TEXTS / _ABSENT[name]]
    found = [path for path in directory.rglob("*") if path.name.upper().startswith(NAMES) and path.is_file()]
    return sorted(path for path in found if not set(OTHERS) & set(path.relative_to(directory).parts))


def _add(texts: dict[str, tuple[str, list[str]]], file: Path, whose: str) -> None:
    """Adds a text, or its owner if it is there already, in other lines perhaps."""
    text = file.read_text(encoding="utf-8", errors="replace")
    lines = "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")
    texts.setdefault(" ".join(text.split()), (lines, []))[1].append(whose)


def _cargo(*arguments: str) -> str:
    return subprocess.run(["cargo", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout


def main() -> None:
    """Writes the file, or compares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, and fail if the file is out of date")
    parser.add_argument("--file", type=Path, default=ROOT / "THIRD-PARTY-NOTICES", help="which file")
    options = parser.parse_args()
    content = notices()
    if not options.check:
        options.file.write_text(content, encoding="utf-8")
    elif not options.file.exists() or options.file.read_text(encoding="utf-8") != content:
        sys.exit(f"{options.file.name} is out of date: run `make notices` and commit it")


if __name__ == "__main__":
    main()
