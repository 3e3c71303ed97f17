"""A bucket in another region than the queue: it is found there, by the executor, by the runner and by the doctor."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner
from lab import BUCKET, Bucket, Lab
from support import bench
from support.bucket import PART

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.cli import main
from covalent_awsbatch_plugin.errors import ServiceError
from covalent_awsbatch_plugin.options.settings import Settings
from covalent_awsbatch_plugin.task import connection

HERE, THERE = "us-east-1", "eu-west-1"
S3 = {"PutObject", "GetObject", "HeadBucket", "DeleteObjects", "CreateMultipartUpload", "UploadPart"}


def identity(value: Any) -> Any:
    return value


def run(lab: Lab, node: int, argument: Any) -> Any:
    executor = AWSBatchExecutor(**lab.options, poll_freq=0.2, s3_cleanup="always")
    metadata = {"dispatch_id": "dispatch", "node_id": node}
    return asyncio.run(executor.run(identity, [argument], {}, metadata)).get_deserialized()


def test_a_task_goes_on_where_its_bucket_is() -> None:
    with Lab(buckets={BUCKET: Bucket(region=THERE)}) as lab:
        for node, argument in enumerate(("small", bytes(PART + 1))):
            assert run(lab, node, argument) == f"covalent-batch-dispatch-{node}"
        calls = lab.calls()
        refused = [call for call in calls if call.status == 301]
        assert [(call.operation, call.facts["region"]) for call in refused] == [("PutObject", HERE)]
        assert {call.facts["region"] for call in calls if call.operation in S3 and call.status != 301} == {THERE}
        assert {"CreateMultipartUpload", "DeleteObjects"} <= {call.operation for call in calls}
        assert {call.facts["region"] for call in calls if call.operation not in S3 and call.acted} >= {HERE}
        assert all(call.facts["region"] == HERE for call in calls if call.operation in ("SubmitJob", "DescribeJobs"))
        assert lab.objects() == {}


def test_an_upload_in_parts_that_comes_first_is_begun_once() -> None:
    with Lab(buckets={BUCKET: Bucket(region=THERE)}) as lab:
        client = connection.client(Settings(**lab.options))
        with client.writer(BUCKET, "key") as writer:
            writer.write(bytes(PART + 1))
        begun = [(call.status, call.facts["region"]) for call in lab.calls("CreateMultipartUpload")]
        assert begun == [(301, HERE), (200, THERE)]
        assert lab.uploads() == []
        assert lab.objects()["key"].size == PART + 1


def test_the_runner_finds_the_bucket_too(tmp_path: Path) -> None:
    with Lab(buckets={bench.BUCKET: Bucket(region=THERE)}) as lab:
        access = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": THERE}
        job = {
            **{name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG") if name in os.environ},
            **lab.environment,
            "HOME": str(tmp_path),
            "S3_BUCKET_NAME": bench.BUCKET,
            "COVALENT_TASK_FUNC_FILENAME": bench.FUNCTION,
            "RESULT_FILENAME": bench.RESULT,
            "AWS_BATCH_JOB_ID": "job-1",
            "AWS_BATCH_JOB_ATTEMPT": "1",
        }
        one = bench.Bench(boto3.client("s3", endpoint_url=lab.url, **access), job)
        one.put(max, 3, 4)
        code, _, err = one.run()
        assert code == 0, err
        assert one.envelope()["status"] == "succeeded"
        assert [call.facts["region"] for call in lab.calls() if call.status == 301] == [HERE]


def test_where_s3_does_not_say_where_it_is_the_message_says_what_region_does() -> None:
    with Lab(buckets={BUCKET: Bucket(region=THERE, tells=False)}) as lab:
        with pytest.raises(ServiceError, match="PermanentRedirect") as caught:
            run(lab, 0, "small")
        said = caught.value.message
        assert "the bucket is in another region, and S3 does not say in which" in said
        assert "or `region`, which moves the queue as well" in said
        assert len(lab.calls("PutObject")) == 1


def test_the_doctor_says_what_it_costs_and_goes_on() -> None:
    with Lab(buckets={BUCKET: Bucket(region=THERE)}) as lab:
        options = [part for name, value in lab.options.items() for part in (f"--{name.replace('_', '-')}", str(value))]
        answer = CliRunner().invoke(main, ["doctor", "--json", *options])
    found = {one["name"]: one for one in json.loads(answer.stdout)["checks"]}
    assert found["bucket"]["state"] == found["objects"]["state"] == "well"
    assert found["bucket"]["found"] == f"{BUCKET} is in {THERE}, queue in {HERE}: transfer between regions costs"
    assert found["bucket"]["fix"].endswith("or `region`, which moves the queue as well")
