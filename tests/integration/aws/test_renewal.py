"""Credentials that expire while a job is waited for, and are renewed in time."""

from __future__ import annotations

import asyncio
from typing import Any

from lab import Lab, endings, faults

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor


async def _until(condition: Any) -> None:
    while not condition():  # noqa: ASYNC110  (it becomes so in another process)
        await asyncio.sleep(0.05)


def test_a_task_goes_on_with_new_keys() -> None:
    async def overnight(lab: Lab) -> Any:
        executor = AWSBatchExecutor(**lab.options, vcpu=1, poll_freq=1)
        task = asyncio.ensure_future(executor.run(len, ["x"], {}, {"dispatch_id": "night", "node_id": 1}))
        await _until(lambda: lab.counts["DescribeJobs"])
        lab.faults(
            faults.expired("batch:*", where={"accessKey": "AKIALAB0"}),
            faults.expired("s3:*", where={"accessKey": "AKIALAB0"}),
        )
        await _until(lambda: lab.struck["expired"])
        # What `aws sso login` or a colleague's script does.
        lab.renew_credentials("AKIALAB1")
        refused = lab.struck["expired"]
        lab.end("*", endings.succeed())
        result = await asyncio.wait_for(task, 120)
        # Each refusal has the keys looked for anew; one look may have begun before there were others.
        assert lab.struck["expired"] <= refused + 1
        return result

    with Lab(endings={"*": endings.runs_for_ever()}) as lab:
        assert asyncio.run(overnight(lab)).get_deserialized() == "covalent-batch-night-1"
        (job,) = lab.jobs()
        assert job.name == "covalent-batch-night-1"
