"""What is made of the options' definitions: the constructor, the page's tables and the variables of `deploy`."""

from __future__ import annotations

import json
import pydoc
import re
import shutil
import subprocess
import sys
import types
import typing
from pathlib import Path

import covalent
import pytest

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.options.definition import definition
from covalent_awsbatch_plugin.options.settings import DEFAULTS, OPTIONS, Settings

assert covalent  # it must be imported before its plugins

ROOT = Path(__file__).parents[2]
PACKAGE = "python/covalent_awsbatch_plugin"
WRITTEN = [f"{PACKAGE}/options/signature.py", f"{PACKAGE}/assets/infra/options.tf", "docs/options.md"]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "scripts/options.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_what_is_written_is_what_the_definitions_say() -> None:
    done = run("--check")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", WRITTEN)
def test_a_file_that_is_out_of_date_is_named_and_written_anew(tmp_path: Path, name: str) -> None:
    for path in WRITTEN:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    assert run("--check", "--root", tmp_path).returncode == 0
    good = (tmp_path / name).read_text(encoding="utf-8")
    (tmp_path / name).write_text(good.replace("batch_queue", "queue"), encoding="utf-8")
    done = run("--check", "--root", tmp_path)
    assert done.returncode == 1
    assert f"out of date: {name}." in done.stderr
    assert (tmp_path / name).read_text(encoding="utf-8") != good
    assert run("--root", tmp_path).returncode == 0
    assert run("--check", "--root", tmp_path).returncode == 0


def test_a_page_without_a_place_for_the_tables_is_refused(tmp_path: Path) -> None:
    for path in WRITTEN:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "docs/options.md").write_text("# Another one\n", encoding="utf-8")
    done = run("--root", tmp_path)
    assert done.returncode == 1
    assert "no place for the tables" in done.stderr


def test_the_page_has_every_option_once_with_its_default() -> None:
    page = (ROOT / "docs/options.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| `(.*?)` \|", page, flags=re.MULTILINE))
    assert len(re.findall(r"^\| `", page, flags=re.MULTILINE)) == len(OPTIONS)
    assert set(rows) == set(OPTIONS)
    for name, default in rows.items():
        value = DEFAULTS[name]
        assert default in ([value] if isinstance(value, str) and value else [json.dumps(value)]), name


def test_help_has_every_option_with_its_text() -> None:
    shown = " ".join(re.sub(r"^ \|", "", pydoc.plain(pydoc.render_doc(AWSBatchExecutor)), flags=re.MULTILINE).split())
    for name, field in Settings.model_fields.items():
        assert f"{name}: {definition(field).doc} Default: " in shown
    assert AWSBatchExecutor.__init__.__doc__, "what an editor shows while a call is written"


def test_keyword_and_attribute_have_the_type_of_the_option() -> None:
    keywords = typing.get_type_hints(AWSBatchExecutor.__init__)
    attributes = typing.get_type_hints(AWSBatchExecutor)
    for name in OPTIONS:
        kind = Settings.model_fields[name].annotation
        kind = float if kind == int | float else kind
        assert attributes[name] == kind
        kinds = typing.get_args(kind) if isinstance(kind, types.UnionType) else [kind]
        assert {*kinds, type(None)} <= set(typing.get_args(keywords[name]))
