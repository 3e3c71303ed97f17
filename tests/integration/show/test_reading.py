"""Reading the logs of many jobs: how often AWS is asked."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from lab import QUEUE, Lab, endings

from covalent_awsbatch_plugin.options.settings import DEFAULTS, Settings
from covalent_awsbatch_plugin.server.database import Electron
from covalent_awsbatch_plugin.show.named import OWN, Task
from covalent_awsbatch_plugin.show.reading import Reader
from covalent_awsbatch_plugin.task.connection import client


def submitted(batch: Any, count: int) -> list[str]:
    container = {"image": "image:1", "vcpus": 1, "memory": 2048}
    batch.register_job_definition(jobDefinitionName="d", type="container", containerProperties=container)
    return [
        batch.submit_job(jobName=f"covalent-batch-{uuid.uuid4()}-0", jobQueue=QUEUE, jobDefinition="d")["jobId"]
        for _ in range(count)
    ]


def test_a_hundred_jobs_are_described_by_one_call() -> None:
    with Lab(endings={"*": endings.stuck()}) as lab:
        ids = submitted(lab.boto3("batch"), 101)
        reader = Reader(client(Settings(**{**DEFAULTS, **lab.options})), "group")
        electrons = [Electron("d", number, "f", "RUNNING", OWN, job_id) for number, job_id in enumerate([*ids, "none"])]
        reader.follow(Task(electron, f"f[{electron.node_id}]", electron.job_id) for electron in electrons)
        asyncio.run(reader.describe())
        assert lab.counts["DescribeJobs"] == 2
        assert {one.status for one in reader.jobs[:-1]} == {"RUNNABLE"}
        assert (reader.jobs[-1].status, reader.jobs[-1].has_ended) == ("VANISHED", True)
        asyncio.run(reader.describe())
        assert lab.counts["DescribeJobs"] == 4
