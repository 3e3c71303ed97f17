"""The bucket as S3 itself answers: its region, its key, and what may be done in it."""

from __future__ import annotations

from typing import Any

import pytest
from lab import Lab, faults
from support.doctor import BUCKET, ask
from support.servers import Answer, HttpServer
from support.signing import forward_signed

from covalent_awsbatch_plugin.local import LocalAWS


def answering_head(aws: LocalAWS, status: int, region: str) -> HttpServer:
    """The embedded AWS, where S3 answers HeadBucket so."""
    forward = forward_signed(aws)
    answer = Answer(status=status, headers={"x-amz-bucket-region": region})
    return HttpServer(lambda request: answer if request.method == "HEAD" else forward(request))


@pytest.mark.parametrize("status", [301, 400])
def test_a_bucket_of_another_region_that_is_not_there_either(
    aws: LocalAWS, options: dict[str, Any], status: int
) -> None:
    with answering_head(aws, status, "eu-west-1") as server:
        report = ask({**options, "endpoint_url": server.url})
    assert list(report.wrong()) == ["bucket"]
    assert "is in eu-west-1, and cannot be reached from us-east-1" in report.wrong()["bucket"]


def test_a_bucket_of_another_region_that_may_not_be_listed(aws: LocalAWS, options: dict[str, Any]) -> None:
    with answering_head(aws, 403, "eu-west-1") as server:
        report = ask({**options, "endpoint_url": server.url})
    assert report.code == 0
    assert "which may not be listed, is in eu-west-1, queue in us-east-1: transfer" in report.found("bucket")


def test_a_bucket_that_may_not_be_listed_is_tried(aws: LocalAWS, options: dict[str, Any]) -> None:
    with answering_head(aws, 403, "us-east-1") as server:
        report = ask({**options, "endpoint_url": server.url})
    assert report.code == 0
    assert report.found("bucket") == "covalent-batch-job-resources, which may not be listed"
    assert report.found("objects") == "put, get, delete work in s3://covalent-batch-job-resources"


def test_a_bucket_that_may_not_be_written_to() -> None:
    with Lab() as lab:
        lab.set_bucket(denied=True)
        wrong = ask(lab.options).wrong()
    assert "allow s3:PutObject on arn:aws:s3:::lab-bucket/*" in wrong["objects"]


def test_a_key_that_is_gone(aws: LocalAWS, options: dict[str, Any]) -> None:
    forward = forward_signed(aws)
    gone = b"<Error><Code>KMS.NotFoundException</Code><Message>Alias gone is not found.</Message></Error>"
    with HttpServer(lambda request: Answer(gone, 400) if request.method == "PUT" else forward(request)) as server:
        report = ask({**options, "endpoint_url": server.url, "s3_kms_key_id": "alias/gone"})
    assert "set `s3_kms_key_id` to a key that is enabled" in report.wrong()["objects"]


def test_a_key_by_its_alias_is_not_held_against_the_job_role(options: dict[str, Any]) -> None:
    """Which key it means only KMS knows, and the role's policy may name that one alone."""
    report = ask({**options, "s3_kms_key_id": "alias/mine"})
    assert report.wrong() == {}
    assert "decide on kms:Decrypt" in report.untold()["job role's rights"]


def test_deleting_is_not_needed_unless_it_is_wished_for() -> None:
    with Lab(faults=[faults.denied("DeleteObjects")]) as lab:
        assert "delete is not needed" in ask(lab.options).found("objects")
        wrong = ask({**lab.options, "s3_cleanup": "success"}).wrong()
    assert "allow s3:DeleteObject" in wrong["objects"]


def test_an_access_point_by_its_alias(aws: LocalAWS, options: dict[str, Any]) -> None:
    alias = "jobs-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias"
    given = {**options, "s3_bucket_name": alias}
    assert "`aws s3control list-access-points --account-id 123456789012`" in ask(given).wrong()["bucket"]
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=alias)
    try:
        report = ask(given)
    finally:
        s3.delete_bucket(Bucket=alias)
    assert report.found("objects") == f"put, get, delete work in s3://{alias}"
    assert "S3 does not tell through an access point" in report.found("encryption")


def test_how_the_bucket_encrypts(aws: LocalAWS, options: dict[str, Any]) -> None:
    s3 = aws.client("s3")
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/mine"}}
    s3.put_bucket_encryption(Bucket=BUCKET, ServerSideEncryptionConfiguration={"Rules": [rule]})
    try:
        assert ask(options).found("encryption") == "aws:kms by alias/mine"
    finally:
        s3.delete_bucket_encryption(Bucket=BUCKET)
