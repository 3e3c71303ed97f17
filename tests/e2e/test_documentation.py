"""Workflows of the pages run as printed, on the embedded AWS and a real Covalent server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.documentation import BLOCKS, Block, blocks
from support.paths import ROOT

from covalent_awsbatch_plugin.local import LocalAWS
from covalent_awsbatch_plugin.local.covalent_server import CovalentServer

if TYPE_CHECKING:
    from collections.abc import Iterator

START = "docs/getting-started.md"


@pytest.fixture(scope="module")
def server() -> Iterator[CovalentServer]:
    """A Covalent server whose executor `awsbatch` runs on the embedded AWS."""
    with LocalAWS() as aws:
        section = {**aws.options, "poll_freq": 1}
        with CovalentServer(environment=aws.environment, config={"awsbatch": section}) as server:
            yield server


def run(server: CovalentServer, script: str) -> str:
    """The last line that a script prints."""
    result = server.run_script(script, timeout=600)
    assert result.returncode == 0, f"{result.stdout}{result.stderr}\n{server.log()[-4000:]}"
    return result.stdout.splitlines()[-1]


def test_the_readme_prints_what_it_says(server: CovalentServer) -> None:
    assert run(server, blocks("README.md", "python")[0]) == "42"


def test_the_first_workflow_prints_what_it_says(server: CovalentServer) -> None:
    assert run(server, blocks(START, "python")[0]) == "[0, 1, 4, 9]"


def test_the_model_is_a_working_one(server: CovalentServer) -> None:
    """A score between 0.5 and 1 is what a working model has; guessing one of three classes gives a third."""
    assert 0.5 < float(run(server, blocks(START, "python")[1])) <= 1


FIRST = {*blocks("README.md", "python"), *blocks(START, "python")}
OTHERS = [block for block in BLOCKS if block.dispatches and block.text not in FIRST]


@pytest.mark.parametrize("block", OTHERS, ids=str)
def test_a_block_that_dispatches_completes(server: CovalentServer, block: Block) -> None:
    """It prints its result last, which is None where the dispatch failed."""
    assert run(server, block.text) != "None"


def test_the_demo_runs_the_same_workflow() -> None:
    """Apart from its docstring and the remark for type checkers, the demo's script is the page's block."""
    script = (ROOT / "python/covalent_awsbatch_plugin/local/svm_workflow.py").read_text(encoding="utf-8")
    assert script[script.index("import covalent as ct") :] == blocks(START, "python")[1]
