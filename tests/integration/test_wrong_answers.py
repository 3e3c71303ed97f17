"""Answers that nobody expects of AWS: emptied on their way, behind the times, or a proxy's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from lab import BUCKET, Lab, endings, faults, results
from support.servers import Answer, HttpServer, Request, forward_to
from support.tasks import becomes_by_itself

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.errors import JobFailedError, ServiceError


def instead(lab: Lab, meant: Callable[[Request], bool], answer: Answer, times: int = 1) -> HttpServer:
    """The laboratory, behind something that answers the first of these calls itself when the laboratory has acted."""
    forward, left = forward_to(lab.options["endpoint_url"]), [times]

    def answered(request: Request) -> Answer:
        passed = forward(request)
        if not meant(request) or not left[0]:
            return passed
        left[0] -= 1
        return answer

    return HttpServer(answered)


def run(options: dict[str, Any], metadata: dict[str, Any]) -> Any:
    executor = AWSBatchExecutor(**{**options, "vcpu": 1, "poll_freq": 1})
    return asyncio.run(executor.run(len, ["x"], {}, metadata)).get_deserialized()


@pytest.mark.parametrize("path", ["/v1/submitjob", "/v1/registerjobdefinition"])
def test_an_answer_without_what_was_asked_for(metadata: dict[str, Any], path: str) -> None:
    """It has been done all the same, and is found again."""
    with Lab() as lab, instead(lab, lambda request: request.path == path, Answer(b"{}")) as server:
        name = run({**lab.options, "endpoint_url": server.url}, metadata)
        assert [job.name for job in lab.jobs()] == [name]
        assert lab.counts["RegisterJobDefinition"] == 1


def test_a_job_that_is_listed_and_not_yet_described_is_waited_for(metadata: dict[str, Any]) -> None:
    """Of a process that died right after its submission."""
    with Lab(endings={"*": endings.runs_for_ever()}) as lab:
        name, batch = f"covalent-batch-{metadata['dispatch_id']}-0", lab.boto3("batch")
        container = {"image": "i", "vcpus": 1, "memory": 128}
        batch.register_job_definition(jobDefinitionName="d", type="container", containerProperties=container)
        result = {"S3_BUCKET_NAME": BUCKET, "RESULT_FILENAME": f"result-{metadata['dispatch_id']}-0.pkl"}
        environment = [{"name": key, "value": value} for key, value in result.items()]
        queue, overrides = lab.options["batch_queue"], {"environment": environment}
        batch.submit_job(jobName=name, jobQueue=queue, jobDefinition="d", containerOverrides=overrides)
        before = lab.counts["DescribeJobs"]
        nothing = instead(lab, lambda request: request.path == "/v1/describejobs", Answer(b'{"jobs": []}'), times=2)
        with nothing as server, ThreadPoolExecutor() as threads:
            again = threads.submit(run, {**lab.options, "endpoint_url": server.url}, metadata)
            becomes_by_itself(lambda: lab.counts["DescribeJobs"] > before + 3 or again.done())
            lab.end("*", endings.succeed())
            assert again.result() == name
        assert lab.counts["SubmitJob"] == 1


def test_a_page_in_place_of_the_log_does_not_hide_why_the_job_failed(metadata: dict[str, Any]) -> None:
    def wants_log(request: Request) -> bool:
        return request.headers.get("x-amz-target", "").endswith("GetLogEvents")

    page = Answer(b"<html>Not here</html>", 404, {"content-type": "text/html"})
    with Lab(endings={"*": endings.exited(9)}) as lab, instead(lab, wants_log, page, times=99) as server:
        with pytest.raises(JobFailedError, match="exited with code 9"):
            run({**lab.options, "endpoint_url": server.url}, metadata)
        assert any(map(wants_log, server.requests))


def test_a_result_is_brought_also_where_what_was_printed_cannot_be_read(metadata: dict[str, Any]) -> None:
    with Lab(endings={"*": endings.succeed(results.Legacy(value=7))}) as lab:
        lab.faults(faults.denied("GetObject", where={"Key": f"io_output-{metadata['dispatch_id']}-0.json"}))
        assert run(lab.options, metadata) == 7


def test_a_result_that_cannot_be_read_is_not_deleted(metadata: dict[str, Any]) -> None:
    with Lab(endings={"*": endings.succeed()}) as lab:
        lab.faults(faults.truncate(times=100))
        with pytest.raises(ServiceError):
            run({**lab.options, "s3_cleanup": "always"}, metadata)
        assert f"result-{metadata['dispatch_id']}-0.pkl" in lab.objects()
        assert lab.counts["DeleteObjects"] == 0
