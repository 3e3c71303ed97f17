"""A clock that was wrong and is set right while tasks run fails none of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from lab import Lab, faults
from support.tasks import executor_of


@pytest.mark.parametrize("ahead", [3600, -3600, 86_400])
def test_a_clock_that_is_set_right_fails_no_task(ahead: int) -> None:
    async def run(lab: Lab, node: int) -> Any:
        result = await executor_of(lab).run(len, ["ab"], {}, {"dispatch_id": f"clock{ahead}", "node_id": node})
        return result.get_deserialized()

    async def before_and_after(lab: Lab) -> list[Any]:
        first = await run(lab, 0)
        lab.faults(faults.skewed(1))
        return [first, await run(lab, 1)]

    with Lab(faults=[faults.skewed(ahead)]) as lab:
        names = asyncio.run(before_and_after(lab))
        assert names == [f"covalent-batch-clock{ahead}-0", f"covalent-batch-clock{ahead}-1"]
        assert any("RequestTimeTooSkewed" in str(call.code) or "Signature" in str(call.code) for call in lab.calls())
