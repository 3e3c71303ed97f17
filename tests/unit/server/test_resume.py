"""What is left to be done of a dispatch, by what Covalent's database has of it."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

from covalent_awsbatch_plugin.server import stops
from covalent_awsbatch_plugin.server.records import Dispatch, Node
from covalent_awsbatch_plugin.server.resume import plan


def dispatch(statuses: list[str], edges: list[tuple[int, int]], groups: list[int] | None = None) -> Dispatch:
    groups = groups or list(range(len(statuses)))
    nodes = {number: Node(number, groups[number], status) for number, status in enumerate(statuses)}
    return Dispatch("d", "RUNNING", datetime.now(timezone.utc), None, None, nodes, tuple(edges))


def test_what_waits_for_nothing_and_has_not_ended_is_ready() -> None:
    found = plan(dispatch(["COMPLETED", "RUNNING", "NEW_OBJECT", "NEW_OBJECT"], [(0, 2), (1, 3), (2, 3)]))
    assert (set(found.ready), found.pending) == ({1, 2}, {0: 0, 1: 0, 2: 0, 3: 2})


def test_each_argument_counts() -> None:
    """As Covalent counts down, once for each edge."""
    assert plan(dispatch(["RUNNING", "NEW_OBJECT"], [(0, 1), (0, 1)])).pending == {0: 0, 1: 2}


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED"])
def test_what_waits_for_a_failure_is_never_ready(status: str) -> None:
    found = plan(dispatch([status, "NEW_OBJECT"], [(0, 1)]))
    assert (found.ready, found.pending[1]) == ((), 1)


def test_a_group_is_in_the_order_of_its_nodes_and_waits_for_others_only() -> None:
    found = plan(dispatch(["NEW_OBJECT", "NEW_OBJECT", "COMPLETED"], [(1, 0), (2, 1)], groups=[7, 7, 2]))
    assert (found.groups[7], found.pending[7], found.ready) == ([1, 0], 0, (7,))


def test_another_version_of_covalent_is_refused_in_a_sentence(tmp_path: Path) -> None:
    about = tmp_path / "covalent-0.299.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: covalent\nVersion: 0.299.0\n")
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from covalent_awsbatch_plugin.server.records import unsupported; print(unsupported())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == (
        "The server runs Covalent 0.299.0, and a dispatch is resumed with 0.240 and 0.241 only: install one of these, "
        "start the server again, and repeat the command.\n"
    )


def test_the_end_of_a_server_is_noted_until_another_one_goes_on() -> None:
    stops.note("d-1", [("d-1", 2)])
    first = stops.read("d-1")
    assert first is not None
    stops.note("d-1", [("d-1", 3)])  # a second server that stopped before it went on with it
    second = stops.read("d-1")
    assert second is not None
    assert (second.at, second.cancelled) == (first.at, {("d-1", 2), ("d-1", 3)})
    assert stops.dispatches() == ["d-1"]
    stops.forget("d-1")
    assert (stops.read("d-1"), stops.dispatches()) == (None, [])


def test_an_id_that_is_a_path_leads_nowhere() -> None:
    stops.note("../elsewhere", [])
    assert (stops.read("../elsewhere"), stops.dispatches()) == (None, [])
