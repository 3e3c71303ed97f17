"""The executor's jobs in a queue, as `ListJobs` tells them, and a Covalent server that does not know of them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from support.covalent_client import dispatcher_at
from support.servers import Answer, HttpServer, Request

pytest.importorskip("moto.server")

from covalent_awsbatch_plugin.errors import ServiceError
from covalent_awsbatch_plugin.local import LocalAWS
from covalent_awsbatch_plugin.options.settings import DEFAULTS, Settings
from covalent_awsbatch_plugin.server.api import ServerUnreachableError
from covalent_awsbatch_plugin.server.orphans import (
    Job,
    list_jobs,
    records,
    report_cancelled,
    terminate,
)
from covalent_awsbatch_plugin.task.connection import client

QUEUE = "covalent-batch-queue"


def test_all_pages_and_only_names_of_an_executor() -> None:
    names = [f"covalent-batch-d{number}-{number % 3}" for number in range(101)]
    others = ["Covalent-Batch-d-1", "covalent-batch-by-hand", "covalent-batch", "another"]
    with LocalAWS(program=["sh", "-c", "sleep 60"], stop_grace=1) as aws:
        batch = aws.client("batch")
        batch.register_job_definition(
            jobDefinitionName="any", type="container", containerProperties={"image": "any", "vcpus": 1, "memory": 512}
        )
        submitted = {"jobQueue": QUEUE, "jobDefinition": "any"}
        first = batch.submit_job(jobName="first", **submitted)["jobId"]
        ids = [
            batch.submit_job(jobName=name, **submitted, dependsOn=[{"jobId": first}])["jobId"]
            for name in [*others, *names]
        ]
        batch.terminate_job(jobId=ids[-1], reason="to have one that has ended")
        connection = client(Settings(**{**DEFAULTS, **aws.options}))
        jobs = list_jobs(connection, QUEUE)
        with pytest.raises(ServiceError, match="batch:ListJobs on queue nowhere"):
            list_jobs(connection, "nowhere")
    assert {(job.id, job.name) for job in jobs} == set(zip(ids[len(others) :], names, strict=True))
    assert [job.created_at for job in jobs] == sorted(job.created_at for job in jobs)
    states = {job.name: (job.dispatch_id, job.node_id, job.status) for job in jobs}
    assert states["covalent-batch-d7-1"] == ("d7", 1, "PENDING")
    assert states["covalent-batch-d100-1"] == ("d100", 1, "FAILED")


def test_a_job_that_cannot_be_ended_does_not_save_the_others() -> None:
    """Nor where AWS refuses the call for all of them because of it."""

    def answer(request: Request) -> Answer:
        refused = request.path.startswith("/v1/terminatejob") and b"sacred" in request.body
        return (
            Answer(b'{"message": "no"}', 403, {"x-amzn-errortype": "AccessDeniedException"})
            if refused
            else Answer(b"{}")
        )

    jobs = [Job(name, name, "RUNNING", 0, "d", 1) for name in ("one", "sacred", "two")]
    with HttpServer(answer) as server, LocalAWS() as aws:
        connection = client(Settings(**{**DEFAULTS, **aws.options, "endpoint_url": server.url}))
        failures = terminate(connection, jobs)
        asked = [json.loads(request.body) for request in server.requests]
        ended = sorted(one["jobId"] for one in asked if "jobId" in one)
    assert failures.keys() == {"sacred"}
    assert "AWS denied batch:TerminateJob on job sacred" in failures["sacred"]
    assert [sorted(one["jobs"]) for one in asked if "jobs" in one] == [["one", "sacred", "two"]]
    assert ended == ["one", "sacred", "two"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(b"<html>"), "no Covalent server"),
        (Answer(b"[]"), "no Covalent server"),
        (Answer(b"{}"), "no Covalent server"),
        (Answer(b"", 500), "cannot be asked: 500 Server Error: Internal Server Error$"),
    ],
    ids=["no JSON", "a list", "a dict", "an error"],
)
def test_what_is_no_covalent_server_tells_nothing(answer: Answer, said: str) -> None:
    server = HttpServer(lambda _: answer)
    with server, dispatcher_at(server.port), pytest.raises(ServerUnreachableError, match=said):
        records(["d-1", "d-2"])


def test_covalent_is_told_only_of_what_it_believes_running() -> None:
    job = Job("id", "covalent-batch-d-3", "RUNNING", 0, "d", 3, dispatch="RUNNING", electron="RUNNING")
    said = "cannot be told: 500 Server Error: Internal Server Error"
    server = HttpServer(lambda request: Answer(status=200 if "/3/" in request.path else 500))
    with server, dispatcher_at(server.port):
        assert not report_cancelled(job)
        assert not report_cancelled(replace(job, electron="COMPLETED", node_id=4))
        assert report_cancelled(replace(job, node_id=4)).endswith(said)
    assert [request.path for request in server.requests] == [
        "/api/v2/dispatches/d/electrons/3/job",
        "/api/v2/dispatches/d/electrons/4/job",
    ]
