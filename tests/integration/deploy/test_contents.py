"""What is counted before all is deleted."""

from __future__ import annotations

from lab import BUCKET, QUEUE, Lab, endings

from covalent_awsbatch_plugin.deploy.contents import counted
from covalent_awsbatch_plugin.options.settings import DEFAULTS


def test_objects_and_live_jobs_are_counted_and_what_cannot_be_is_said() -> None:
    with Lab(endings={"live": endings.runs_for_ever()}) as lab:
        batch = lab.boto3("batch")
        container = {"image": "image:1", "vcpus": 1, "memory": 2048}
        batch.register_job_definition(jobDefinitionName="d", type="container", containerProperties=container)
        for name in ("live", "covalent-batch-d-1"):
            batch.submit_job(jobName=name, jobQueue=QUEUE, jobDefinition="d")
        lab.advance(3600)
        for number in range(2):
            lab.plant(f"key-{number}", b"x" * 600_000)
        executor = {**DEFAULTS, **lab.options, "s3_bucket_name": BUCKET, "batch_queue": QUEUE}
        objects, jobs = counted(executor)
        assert objects == f"Bucket {BUCKET} holds 2 objects, 1.2 MB."
        assert jobs == f"Queue {QUEUE} has 1 live job that would end."
        objects, jobs = counted({**executor, "s3_bucket_name": "gone", "batch_queue": "gone"})
        assert objects.startswith("How many objects there are could not be told: ")
        assert jobs.startswith("How many jobs there are could not be told: ")
