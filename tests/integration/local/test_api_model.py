"""Requests that AWS's API does not have, which moto alone would take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from covalent_awsbatch_plugin.local import LocalAWS

DEFINITION = {
    "jobDefinitionName": "d",
    "type": "container",
    "containerProperties": {"image": "i", "vcpus": 1, "memory": 128},
}


@pytest.fixture(scope="module")
def batch() -> Iterator[Any]:
    """A client that sends what it is given."""
    with LocalAWS() as aws:
        session = boto3.Session(
            aws_access_key_id=aws.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=aws.environment["AWS_SECRET_ACCESS_KEY"],
            region_name="us-east-1",
        )
        yield session.client("batch", endpoint_url=aws.endpoint_url, config=Config(parameter_validation=False))


def test_a_definition(batch: Any) -> None:
    batch.register_job_definition(**DEFINITION)
    with pytest.raises(ClientError, match=r"containerProperties\.vcpus"):
        batch.register_job_definition(**{**DEFINITION, "containerProperties": {"image": "i", "vcpus": "1"}})
    with pytest.raises(ClientError, match='Missing required parameter in input: "type"'):
        batch.register_job_definition(jobDefinitionName="d")


def test_a_job(batch: Any) -> None:
    job = {"jobName": "j", "jobQueue": "covalent-batch-queue", "jobDefinition": "d"}
    batch.register_job_definition(**DEFINITION)
    with pytest.raises(ClientError, match="attemptDurationSeconds"):
        batch.submit_job(**job, timeout={"attemptDurationSeconds": "a minute"})
