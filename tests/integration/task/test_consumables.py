"""Tasks that need a licence: never more at once than there are licences."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from support.task_bench import TaskBench, result_of

from covalent_awsbatch_plugin.errors import ServiceError


def test_as_many_tasks_run_at_once_as_there_are_licences(bench: TaskBench, tmp_path: Path) -> None:
    bench.batch.create_consumable_resource(consumableResourceName="licence", totalQuantity=1)
    busy = tmp_path / "busy"

    def alone(path: str) -> bool:
        Path(path).mkdir()  # fails if another one is at it
        time.sleep(0.2)
        Path(path).rmdir()
        return True

    async def three() -> list[Any]:
        executors = [bench.executor(consumable_resources={"licence": 1}) for _ in range(3)]
        return list(await asyncio.gather(*(result_of(one, alone, (str(busy),), bench.task()) for one in executors)))

    assert asyncio.run(three()) == [True] * 3


def test_under_a_definition_of_the_users_each_job_says_it(bench: TaskBench) -> None:
    bench.batch.create_consumable_resource(consumableResourceName="seat", totalQuantity=1)
    container = {
        "image": "team/jobs:1",
        "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "512"}],
    }
    bench.batch.register_job_definition(jobDefinitionName="seated", type="container", containerProperties=container)
    task = bench.task()
    executor = bench.executor(job_definition="seated", consumable_resources={"seat": 1})
    assert bench.run(executor, max, 1, 2, task=task) == 2
    [needed] = bench.ended(task)["consumableResourceProperties"]["consumableResourceList"]
    assert needed == {"consumableResource": "seat", "quantity": 1}


def test_a_resource_that_is_not_there_is_named(bench: TaskBench) -> None:
    with pytest.raises(ServiceError, match="Consumable resource gone does not exist"):
        bench.run(bench.executor(consumable_resources={"gone": 1}))
