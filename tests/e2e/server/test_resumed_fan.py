"""A fan with electrons of the server's own and sublattices in sublattices, whose server ends three times in a row.

`RESUME_SEED` draws when and how it ends, `RESUME_FAN` is the number of electrons beside each other; `make soak` runs
twenty seeds with forty.
"""

from __future__ import annotations

import os
from collections import Counter
from random import Random
from typing import Any

import covalent as ct
import pytest
from support.covalent_client import TERMINAL
from support.resuming import Cloud

SEED = int(os.environ.get("RESUME_SEED", "1"))
WIDTH = int(os.environ.get("RESUME_FAN", "6"))


def workflow_of(cloud: Cloud, local: set[str], remote: set[str]) -> Any:
    """A fan; the names of its electrons and of what builds its sublattices go into the two sets.

    Its result is twice the width and four times the number.
    """

    def electron(name: str, is_local: bool = False) -> Any:
        (local if is_local else remote).add(name)
        return cloud.electron(name, "local" if is_local else "awsbatch")

    fan = [electron(f"fan_{number}", is_local=number % 5 == 1) for number in range(WIDTH)]
    again = [electron(f"again_{number}", is_local=number % 7 == 2) for number in range(WIDTH)]
    leaves = [electron(f"leaf_{number}") for number in range(4)]
    total = electron("total")

    def innermost(name: str, is_local: bool) -> Any:
        (local if is_local else remote).add(name)
        note_building = cloud.counted(name)

        @ct.electron
        @ct.lattice(executor="local", workflow_executor="local")
        def innermost(number: int) -> Any:
            note_building()
            return leaves[1](leaves[0](number))

        return innermost

    built_in_a_job, built_by_server = innermost("built_in_a_job", False), innermost("built_by_server", True)

    @ct.electron
    @ct.lattice(executor="local", workflow_executor="awsbatch")  # which builds its sublattice
    def inner(number: int) -> Any:
        return leaves[3](leaves[2](number), built_in_a_job(number))

    @ct.lattice(executor="local", workflow_executor="local")
    def workflow(number: int) -> Any:
        results = [second(first(1)) for first, second in zip(fan, again, strict=True)]
        return total(*results, inner(number), built_by_server(number))

    return workflow


@pytest.mark.timeout(600)
def test_a_server_that_ends_three_times_in_a_row(cloud: Cloud) -> None:
    local: set[str] = set()
    remote: set[str] = set()
    random = Random(SEED)
    dispatch = cloud.client.dispatch(workflow_of(cloud, local, remote), 1)
    moments = sorted(random.sample(range(1, len(local | remote)), 3))
    ends = random.choices(["kill", "interrupt"], k=3)
    print(f"RESUME_SEED={SEED} RESUME_FAN={WIDTH}: {list(zip(ends, moments, strict=True))}")
    for end, calls in zip(ends, moments, strict=True):
        cloud.client.until(
            lambda calls=calls: len(cloud.calls()) >= calls or cloud.client.status(dispatch) in TERMINAL,
            f"{calls} electrons to be called",
            240,
        )
        getattr(cloud.server, end)()
        cloud.server.start()
        assert set(cloud.resume(dispatch).values()) <= {"resumed", "over"}
    result = cloud.client.wait(dispatch, 300)
    assert str(result.status) == "COMPLETED", cloud.told(dispatch)
    assert result.result == WIDTH + 3
    called = cloud.calls()
    # Each innermost sublattice has both of its leaves.
    assert {name: called[name] for name in remote} == {
        name: 1 + name.startswith(("leaf_0", "leaf_1")) for name in remote
    }
    assert set(called) == local | remote
    assert set(Counter(job.name for job in cloud.aws.jobs()).values()) == {1}
