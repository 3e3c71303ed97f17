"""A laptop that sleeps through the night, whose server is killed twice in between: in the morning all is COMPLETED.

Nobody is there to type a command: the server is started again as a service manager would, and resumes by itself.
`NIGHT_SEED` draws when it is killed and what ends while the laptop sleeps; `make soak` plays five nights.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import covalent as ct
import pytest
from support.covalent_client import client_of
from support.laptop import Laptop
from support.resuming import QUICK, Cloud

from covalent_awsbatch_plugin.local import LocalAWS
from covalent_awsbatch_plugin.local.covalent_server import CovalentServer

SEED = int(os.environ.get("NIGHT_SEED", "1"))
WIDTH = 3
HOURS = (4.5, 5.5)


def workflow_of(cloud: Cloud) -> Any:
    """Electrons of the evening, each followed by one of the night, and a sublattice; then one of the morning."""
    evening = [cloud.electron(f"evening_{number}", gated=True) for number in range(WIDTH)]
    night = [cloud.electron(f"night_{number}", gated=True) for number in range(WIDTH)]
    leaf, morning = cloud.electron("leaf"), cloud.electron("morning")

    @ct.electron
    @ct.lattice(executor="local", workflow_executor="local")
    def inner(number: int) -> Any:
        return leaf(number)

    @ct.lattice(executor="local", workflow_executor="awsbatch")  # which builds the sublattice
    def workflow(number: int) -> Any:
        results = [later(earlier(number)) for earlier, later in zip(evening, night, strict=True)]
        return morning(*results, inner(results[0]))

    return workflow


@pytest.mark.timeout(400)
def test_what_a_laptop_began_in_the_evening_is_completed_in_the_morning(tmp_path: Path) -> None:
    random = Random(SEED)
    with (
        LocalAWS(max_vcpus=8, stop_grace=1) as aws,
        Laptop(aws, tmp_path / "laptop") as laptop,
        CovalentServer(
            laptop.environment,
            {"awsbatch": {**QUICK, **laptop.options, "resume_on_start": "true"}},
            tmp_path / "home",
        ) as server,
        client_of(server) as client,
    ):
        cloud = Cloud(aws, server, client, tmp_path, laptop.way)
        dispatch = client.dispatch(workflow_of(cloud), 1)
        for hours, period in zip(HOURS, ("evening", "night"), strict=True):
            names = [f"{period}_{number}" for number in range(WIDTH)]
            cloud.called(*names)
            early, dies_asleep = names[: random.randint(0, WIDTH)], random.random() < 0.5
            pause = random.uniform(0, 3)
            print(f"NIGHT_SEED={SEED} {early=} {dies_asleep=} {pause=:.1f}")
            assert server.pid is not None
            with laptop.asleep(server.pid, hours):
                before = Counter(job.status for job in cloud.jobs(dispatch))["SUCCEEDED"]
                cloud.open(*early)
                ended = before + len(early)
                client.until(
                    lambda ended=ended: Counter(job.status for job in cloud.jobs(dispatch))["SUCCEEDED"] == ended,
                    f"{ended} jobs to succeed",
                    60,
                )
                if dies_asleep:
                    server.kill()
            if not dies_asleep:
                time.sleep(pause)
                server.kill()
            server.start()
            cloud.open(*names)
        result = client.completed(dispatch, 200).result
        called = cloud.calls()
        jobs = Counter(job.name for job in aws.jobs())
    assert result == WIDTH + 1
    everything = [f"{period}_{number}" for period in ("evening", "night") for number in range(WIDTH)]
    assert called == dict.fromkeys([*everything, "leaf", "morning"], 1)
    assert set(jobs.values()) == {1}
    # The night was one: a clock that had moved, and credentials that had ended with it.
    assert (laptop.way.served[-1] - laptop.way.served[0]).total_seconds() > 3600 * sum(HOURS)
    assert len(laptop.way.keys) > len(HOURS)
    assert set(laptop.way.refused) <= {"ExpiredToken", "ExpiredTokenException"}
