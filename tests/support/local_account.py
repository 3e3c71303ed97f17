"""Batch of the embedded AWS, as any client speaks to it: over HTTP with boto3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from covalent_awsbatch_plugin.local import LocalAWS

from .processes import poll

QUEUE = "covalent-batch-queue"
LOG_GROUP = "covalent-batch-job-logs"
ENDED = ("SUCCEEDED", "FAILED")
# Stays in front of the test's own programs; a job waits for a file, so that a test decides when it ends.
WAIT_FOR = "until [ -e {} ]; do sleep 0.02; done"


class LocalAccount:
    """The calls that the tests make."""

    def __init__(self, aws: LocalAWS) -> None:
        self.aws = aws
        self.batch = aws.client("batch")
        self.logs = aws.client("logs")

    def define(self, name: str = "test", **properties: Any) -> str:
        """Registers a job definition of one vCPU that logs into the executor's group."""
        extra = {key: properties.pop(key) for key in ("retryStrategy", "timeout", "tags") if key in properties}
        container = {
            "image": "image:1",
            "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "512"}],
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {"awslogs-group": LOG_GROUP, "awslogs-stream-prefix": "prefix"},
            },
            **properties,
        }
        answer = self.batch.register_job_definition(
            jobDefinitionName=name, type="container", containerProperties=container, **extra
        )
        return str(answer["jobDefinitionArn"])

    def submit(
        self, shell: str | None = None, *, name: str = "job", definition: str | None = None, vcpus: int = 0, **more: Any
    ) -> str:
        """Submits a job that runs a line of shell, or the account's program."""
        overrides = more.pop("containerOverrides", {})
        if shell is not None:
            overrides = {**overrides, "command": ["sh", "-c", shell]}
        if vcpus:
            overrides = {**overrides, "resourceRequirements": [{"type": "VCPU", "value": str(vcpus)}]}
        answer = self.batch.submit_job(
            jobName=name,
            jobQueue=QUEUE,
            jobDefinition=definition or self.define(),
            containerOverrides=overrides,
            **more,
        )
        return str(answer["jobId"])

    def describe(self, job_id: str) -> dict[str, Any]:
        [job] = self.batch.describe_jobs(jobs=[job_id])["jobs"]
        return dict(job)

    def wait(self, job_id: str, *states: str) -> dict[str, Any]:
        """Waits until the job is in one of the states, which are those of an ended job by default."""

        def is_there() -> dict[str, Any] | None:
            job = self.describe(job_id)
            return job if job["status"] in (states or ENDED) else None

        return poll(is_there, f"{job_id} in {states or ENDED}")

    def run(self, shell: str | None = None, **more: Any) -> dict[str, Any]:
        """Submits a job and waits for its end."""
        return self.wait(self.submit(shell, **more))

    def output(self, job: dict[str, Any], group: str = LOG_GROUP) -> list[str]:
        """The job's log."""
        stream = job["container"]["logStreamName"]
        events = self.logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True)["events"]
        return [event["message"] for event in events]


def read_pid(file: Path) -> int:
    """The number that a process writes into a file, as soon as it is there."""
    return int(poll(lambda: file.read_text().strip() if file.exists() else None, f"a pid in {file}"))
