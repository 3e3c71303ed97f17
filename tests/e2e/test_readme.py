"""The README keeps its word: its blocks run as printed, and its tables say what the code says."""

from __future__ import annotations

import json
import re
import textwrap
from typing import TYPE_CHECKING

import pytest
import toml
from support.paths import ROOT

from covalent_awsbatch_plugin.doctor import policy
from covalent_awsbatch_plugin.local import LocalAWS
from covalent_awsbatch_plugin.local.covalent_server import CovalentServer
from covalent_awsbatch_plugin.options.settings import DEFAULTS, OPTIONS, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The README's code blocks in a language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture(scope="module")
def server() -> Iterator[CovalentServer]:
    """A Covalent server whose executor `awsbatch` runs on the embedded AWS."""
    with LocalAWS() as aws:
        section = {**aws.options, "poll_freq": 1}
        with CovalentServer(environment=aws.environment, config={"awsbatch": section}) as server:
            yield server


def test_the_svm_example_runs_as_printed(server: CovalentServer) -> None:
    """A score between 0.5 and 1 is what a working model has; guessing one of three classes gives a third."""
    result = server.run_script(blocks("python")[1], timeout=600)
    assert result.returncode == 0, f"{result.stdout}{result.stderr}\n{server.log()[-4000:]}"
    assert 0.5 < float(result.stdout.splitlines()[-1]) <= 1


def test_the_first_example_runs_in_a_lattice(server: CovalentServer) -> None:
    """The block defines an electron; called in a lattice it adds."""
    script = blocks("python")[0] + textwrap.dedent(
        """
        @ct.lattice
        def workflow(x, y):
            return task(x, y)

        if __name__ == "__main__":
            dispatch_id = ct.dispatch(workflow)(20, 22)
            print(ct.get_result(dispatch_id, wait=True).result)
        """
    )
    result = server.run_script(script, timeout=600)
    assert result.returncode == 0, f"{result.stdout}{result.stderr}\n{server.log()[-4000:]}"
    assert result.stdout.splitlines()[-1] == "42"


def test_the_demo_runs_the_same_workflow() -> None:
    """Apart from its docstring and the remark for type checkers, the demo's script is the README's block."""
    script = (ROOT / "python/covalent_awsbatch_plugin/local/svm_workflow.py").read_text(encoding="utf-8")
    assert script[script.index("import covalent as ct") :] == blocks("python")[1]


def test_the_table_has_every_option_with_its_default_in_order() -> None:
    """One row an option, and the value that the code has."""
    table = README[README.index("| option | default | |") : README.index("For instance, in")]
    rows = re.findall(r"^\| `(\w+)` \| `(.*?)` \|", table, flags=re.MULTILINE)
    assert [name for name, _ in rows] == list(OPTIONS)
    for name, default in rows:
        value = DEFAULTS[name]
        assert default in ([value] if isinstance(value, str) and value else [json.dumps(value)]), name


def test_the_configuration_is_one() -> None:
    """The TOML block loads and passes the checks."""
    section = toml.loads(blocks("toml")[0])["executors"]["awsbatch"]
    assert Settings(**section).batch_queue == "my-queue"


@pytest.mark.parametrize(("block", "table"), [(0, policy.USER), (1, policy.JOB)])
def test_the_policies_are_those_that_the_program_prints(block: int, table: tuple[policy.Right, ...]) -> None:
    """Generated from the table: `covalent-awsbatch policy user --example`, and the same for `job`."""
    assert blocks("json")[block] == policy.text(policy.document(table, policy.EXAMPLE, policy.EXAMPLE_PLACE)) + "\n"


def test_the_policy_names_every_action_that_the_core_takes() -> None:
    """Every AWS call names its IAM action in the core's source; the doctor's own are no task's."""
    sources = [path for path in (ROOT / "src").rglob("*.rs") if "inspect" not in path.parts]
    text = "".join(path.read_text(encoding="utf-8") for path in sources)
    taken = set(re.findall(r'(?:from_sdk|batch_error)\(\s*"([a-z0-9]+:\w+)"', text))
    assert taken <= {right.action for right in policy.USER} | set(policy.FREE)
    assert len(taken) > 8
