"""A Covalent server that is killed: no job runs twice under one name, and what is left behind is found and ended."""

from __future__ import annotations

import json
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import covalent as ct
import pytest
from support.covalent_client import Client, client_of, jobs_command

from covalent_awsbatch_plugin._core import CANCEL_REASON
from covalent_awsbatch_plugin.local import LocalAWS
from covalent_awsbatch_plugin.local.covalent_server import CovalentServer
from covalent_awsbatch_plugin.server import ending
from covalent_awsbatch_plugin.server.orphans import REASON

ENDED = {"SUCCEEDED", "FAILED"}
QUICK = {
    "container_image_uri": "team/jobs:1",
    "vcpu": 1,
    "memory": 0.5,
    "poll_freq": 1,
    "retry_attempts": 1,
    "time_limit": 1000,
}
QUEUE = "covalent-batch-queue"


@dataclass(frozen=True)
class Cloud:
    """An embedded AWS, and a Covalent server that can be killed and started again beside it."""

    aws: LocalAWS
    server: CovalentServer
    client: Client

    def listed(self, prefix: str) -> list[dict[str, Any]]:
        """What ListJobs answers for the names that begin so."""
        pages = self.aws.client("batch").get_paginator("list_jobs")
        filters = [{"name": "JOB_NAME", "values": [f"{prefix}*"]}]
        return [job for page in pages.paginate(jobQueue=QUEUE, filters=filters) for job in page["jobSummaryList"]]

    def live(self) -> list[str]:
        """The names of all live jobs; there are never two of one name."""
        names = [job["jobName"] for job in self.listed("covalent-batch-") if job["status"] not in ENDED]
        assert len(set(names)) == len(names)
        return names

    def job_runs(self, dispatch_id: str) -> str:
        """The id of the only job of a dispatch, as soon as it runs; there is never a second one."""

        def running() -> list[str]:
            self.live()
            jobs = self.listed(f"covalent-batch-{dispatch_id}-")
            return [job["jobId"] for job in jobs if job["status"] == "RUNNING"]

        self.client.until(running, f"the job of dispatch {dispatch_id}", 40)
        (job,) = self.listed(f"covalent-batch-{dispatch_id}-")
        job_id: str = job["jobId"]
        return job_id

    def waiting_job(self, dispatch_id: str, node_id: int, before: str) -> str:
        """Submits a job by hand that has an executor's name, and does not start before another one is over."""
        batch = self.aws.client("batch")
        definition = batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"][0]["jobDefinitionArn"]
        job_id: str = batch.submit_job(
            jobName=f"covalent-batch-{dispatch_id}-{node_id}",
            jobQueue=QUEUE,
            jobDefinition=definition,
            dependsOn=[{"jobId": before}],
        )["jobId"]
        return job_id

    def status(self, job_id: str) -> tuple[str, str]:
        """State and reason of a job."""
        (job,) = self.aws.client("batch").describe_jobs(jobs=[job_id])["jobs"]
        return job["status"], job.get("statusReason", "")

    def ended(self, job_id: str) -> str:
        """Why a job ended, once it has."""
        self.client.until(lambda: self.status(job_id)[0] in ENDED, f"job {job_id} to end", 20)
        return self.status(job_id)[1]

    def jobs(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Runs `covalent-awsbatch jobs` where the server runs."""
        return jobs_command(self.server, *options)

    def verdicts(self, *options: str, code: int = 0) -> dict[str, str]:
        """What `covalent-awsbatch jobs --json` says of each job, by its id."""
        done = self.jobs("--json", *options)
        assert done.returncode == code, done.stdout + done.stderr
        return {job["id"]: job["verdict"] for job in json.loads(done.stdout)["jobs"]}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """An embedded AWS that outlives the server, in this process."""
    with LocalAWS(max_vcpus=8, stop_grace=1) as aws:
        config = {"awsbatch": {**aws.options, **QUICK}}
        home = tmp_path_factory.mktemp("home")
        with CovalentServer(aws.environment, config, home) as server, client_of(server) as client:
            yield Cloud(aws, server, client)


@ct.electron(executor="awsbatch")
def endless(word: str) -> str:
    time.sleep(900)
    return word


@ct.lattice(executor="local", workflow_executor="local")
def workflow(word: str) -> Any:
    return endless(word)


def test_a_killed_server_leaves_jobs_that_are_found_and_ended(cloud: Cloud) -> None:
    lost = cloud.client.dispatch(workflow, "lost")
    lost_job = cloud.job_runs(lost)
    assert cloud.verdicts("--orphans") == {}

    cloud.server.kill()
    cloud.server.start()
    # Nobody runs it any more, but that is what Covalent says, and nothing will ever change it.
    assert cloud.client.status(lost) == "RUNNING"
    new = cloud.client.dispatch(workflow, "new")
    new_job = cloud.job_runs(new)
    stranger = cloud.waiting_job(str(uuid.uuid4()), 0, before=new_job)
    over = cloud.waiting_job(new, 999, before=new_job)
    cloud.aws.client("batch").terminate_job(jobId=over, reason="to have one that has ended")
    assert len(cloud.live()) == 3

    expected = {lost_job: "orphan", new_job: "awaited", stranger: "foreign"}
    assert cloud.verdicts() == expected
    assert cloud.verdicts("--all") == {**expected, over: "ended"}
    assert cloud.verdicts("--orphans") == {lost_job: "orphan"}
    table = cloud.jobs("--orphans", "--wide")
    assert f"No server goes on with a dispatch that is RUNNING: `covalent-awsbatch resume {lost}`" in table.stderr
    assert "endless[0]" in table.stdout
    assert "nobody waits for it" in table.stdout
    assert (lost_job in table.stdout, new_job in table.stdout, lost in table.stdout) == (True, False, True)

    refused = cloud.jobs("--terminate")
    assert refused.returncode == 1  # nobody answered the question
    assert cloud.status(lost_job)[0] == "RUNNING"
    done = cloud.jobs("--orphans", "--terminate", "--yes")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "Terminated 1 job.")
    assert cloud.ended(lost_job) == REASON
    assert cloud.status(new_job)[0] == "RUNNING"
    assert cloud.verdicts("--orphans") == {}

    # Covalent was told; redispatching what is RUNNING would wait for ever.
    result = cloud.client.wait(lost)
    assert str(result.status) == "FAILED"
    assert result.error == f"{ending.REASON}, and the job of electron 0 was terminated by `covalent-awsbatch jobs`."
    node = cloud.client.node(result, "endless")
    assert str(node["status"]) == "CANCELLED"
    assert node["error"] == f"{ending.REASON}, and its job was terminated by `covalent-awsbatch jobs`."
    again = ct.redispatch(lost)("again")
    again_job = cloud.job_runs(again)
    assert len(cloud.live()) == 3
    assert cloud.verdicts() == {stranger: "foreign", new_job: "awaited", again_job: "awaited"}

    # A job of a dispatch that has ended, whoever waits for it.
    ct.cancel(again)
    assert str(cloud.client.wait(again).status) == "CANCELLED"
    assert cloud.ended(again_job).startswith(CANCEL_REASON)
    straggler = cloud.waiting_job(again, 998, before=new_job)
    assert cloud.verdicts("--orphans", "--terminate", "--yes") == {straggler: "orphan"}
    assert cloud.ended(straggler) == REASON
    assert cloud.verdicts() == {stranger: "foreign", new_job: "awaited"}
    ct.cancel(new)
    assert cloud.ended(new_job).startswith(CANCEL_REASON)


def test_without_a_server_nothing_is_terminated(cloud: Cloud) -> None:
    job = cloud.job_runs(cloud.client.dispatch(workflow, "alone"))
    stranger = cloud.waiting_job(str(uuid.uuid4()), 0, before=job)
    cloud.server.kill()

    done = cloud.jobs("--orphans", "--terminate", "--yes")
    assert done.returncode == 2
    assert job[:8] in done.stdout
    assert f"the Covalent server at {cloud.server.url} cannot be asked" in done.stderr
    assert cloud.verdicts("--orphans", code=2) == {job: "unknown"}
    assert cloud.status(job)[0] == "RUNNING"

    assert cloud.verdicts("--terminate", "--force", "--yes", code=2) == {job: "unknown"}
    assert cloud.ended(job) == REASON
    assert cloud.status(stranger)[1] != REASON


def test_a_queue_that_does_not_exist_is_an_error(cloud: Cloud) -> None:
    done = cloud.jobs("--queue", "nowhere")
    assert done.returncode == 1
    assert "batch:ListJobs on queue nowhere" in done.stderr
