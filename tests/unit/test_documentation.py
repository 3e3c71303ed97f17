"""What the pages say holds: their blocks are what the programs take, and what they link to is there."""

from __future__ import annotations

import ast
import json
import linecache
import re
from pathlib import Path

import covalent
import pytest
import toml
from support import shell_commands
from support.documentation import BLOCKS, PAGES, README, Block, blocks
from support.paths import ROOT

from covalent_awsbatch_plugin.doctor import policy
from covalent_awsbatch_plugin.options.settings import Settings

assert covalent  # it must be imported before its plugins

REPOSITORY = re.compile(
    r"https://(?:github\.com|raw\.githubusercontent\.com)/AgnostiqHQ/covalent-awsbatch-plugin/(?:(?:blob|tree)/)?main/([^\s#)]+)"
)
PYTHON = [block for block in BLOCKS if block.language == "python"]
SHELL = [block for block in BLOCKS if block.language in {"sh", "shell", "bash", "console"}]


@pytest.mark.parametrize(
    ("text", "is_whole"),
    [
        ("import covalent as ct\nprint(ct)\n", True),
        ("import covalent as ct\ndef f(x):\n    return [x + y for y in x]\n", True),
        ("import covalent as ct\nct.dispatch(workflow)(1)\n", False),
        ("print(1)\n", False),
    ],
)
def test_a_block_is_whole_if_it_makes_what_it_uses(text: str, is_whole: bool) -> None:
    assert Block("page.md", 1, "python", text).is_whole == is_whole


def test_of_a_session_the_typed_lines_count() -> None:
    assert Block("page.md", 1, "python", ">>> f(\n...     1)\nf(1)\n").source == "f(\n    1)\n"


def test_pages_have_blocks() -> None:
    assert len(PYTHON) > 8
    assert len(SHELL) > 10


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_compiles_and_names_what_there_is(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it imports of this package exists, and executors are given options with values that they may have."""
    (tmp_path / "requirements.txt").touch()  # which `packages` may name
    monkeypatch.chdir(tmp_path)
    for node in ast.walk(ast.parse(block.source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("covalent_awsbatch_plugin"):
            exec(ast.unparse(node), {})
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("AWSBatchExecutor"):
            assert {word.arg for word in node.keywords} <= {*Settings.model_fields, None}
            Settings(**literals(node))


def literals(call: ast.Call) -> dict[str, object]:
    """The keywords of a call whose values stand in the block."""
    found = {}
    for word in call.keywords:
        try:
            found[str(word.arg)] = ast.literal_eval(word.value)
        except ValueError:
            continue
    return found


@pytest.mark.parametrize("block", [block for block in PYTHON if block.is_whole and not block.dispatches], ids=str)
def test_python_that_needs_no_server_runs(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = block.text.splitlines(keepends=True)
    # Covalent reads the source of electrons.
    monkeypatch.setitem(linecache.cache, str(block), (len(block.text), None, lines, str(block)))
    exec(compile(block.text, str(block), "exec"), {"__name__": "page"})


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_shell_commands_are_understood(block: Block) -> None:
    found = shell_commands.commands(block.text)
    assert found
    for words in found:
        shell_commands.check(words)


@pytest.mark.parametrize(
    "command",
    [
        "covalent-awsbatch doctr",
        "covalent-awsbatch jobs --orphan-jobs",
        "covalent-awsbatch deploy sideways",
        "covalent begin",
        "make tea",
        "pip install 'covalent-awsbatch-plugin[all]'",
        "python examples/none.py",
        "rm -rf /",
    ],
)
def test_a_command_that_no_program_takes_is_found(command: str) -> None:
    (words,) = shell_commands.commands(command)
    with pytest.raises(shell_commands.NotUnderstoodError):
        shell_commands.check(words)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "toml"], ids=str)
def test_a_configuration_is_one(block: Block) -> None:
    assert Settings(**toml.loads(block.text)["executors"]["awsbatch"])


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "json"], ids=str)
def test_json_is_json(block: Block) -> None:
    assert json.loads(block.text)


@pytest.mark.parametrize(("block", "table"), [(0, policy.USER), (1, policy.JOB)])
def test_the_policies_are_those_that_the_program_prints(block: int, table: tuple[policy.Right, ...]) -> None:
    """Generated from the table: `covalent-awsbatch policy user --example`, and the same for `job`."""
    printed = policy.text(policy.document(table, policy.EXAMPLE, policy.EXAMPLE_PLACE)) + "\n"
    assert blocks("docs/permissions.md", "json")[block] == printed


def test_the_policy_names_every_action_that_the_core_takes() -> None:
    """Every AWS call names its IAM action in the core's source; the doctor's own are no task's."""
    sources = [path for path in (ROOT / "src").rglob("*.rs") if "inspect" not in path.parts]
    text = "".join(path.read_text(encoding="utf-8") for path in sources)
    taken = set(re.findall(r'(?:from_sdk|batch_error)\(\s*"([a-z0-9]+:\w+)"', text))
    assert taken <= {right.action for right in policy.USER} | set(policy.FREE)
    assert len(taken) > 8


def test_the_readme_is_short_and_whole_on_pypi() -> None:
    """PyPI shows it without the files beside it: every link is whole."""
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 200
    inline = re.findall(r"\]\(([^)]+)\)", text)
    defined = dict(re.findall(r"^\[([\w-]+)\]: (\S+)$", text, re.MULTILINE))
    used = set(re.findall(r"\]\[([\w-]+)\]", text))
    assert used == set(defined)
    assert all(link.startswith("https://") for link in [*inline, *defined.values()])


def linked() -> list[tuple[str, str]]:
    """Each link of a page to a file of the repository, as a path from the checkout's root."""
    found = set()
    for page in PAGES:
        text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        beside = re.findall(r"\]\((?!https?:|#|mailto:)([^)\s#]+)", text)
        paths = [str((page.parent / link).resolve().relative_to(ROOT)) for link in beside]
        found |= {(str(page.relative_to(ROOT)), path) for path in [*paths, *REPOSITORY.findall(text)]}
    return sorted(found)


@pytest.mark.parametrize(("page", "path"), linked())
def test_what_a_page_links_to_is_there(page: str, path: str) -> None:
    assert (ROOT / path).exists(), page


def test_each_page_is_in_the_navigation() -> None:
    text = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    pages = {str(page.relative_to(ROOT / "docs")) for page in PAGES if page.is_relative_to(ROOT / "docs")}
    assert pages <= set(re.findall(r'= "([\w/-]+\.md)"', text))
