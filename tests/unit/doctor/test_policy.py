"""The table of rights has every call that the core makes, and the documents made of it are least and right."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support.paths import ROOT

from covalent_awsbatch_plugin.cli import main
from covalent_awsbatch_plugin.doctor import policy
from covalent_awsbatch_plugin.doctor.policy import DOCTOR, EXAMPLE, EXAMPLE_PLACE, FREE, JOB, USER, Place, document
from covalent_awsbatch_plugin.options.settings import Settings

SOURCES = ROOT / "src"
PLACE = Place("123456789012", "eu-central-1")
# By which way of the SDK's clients an operation is reached: `clients.batch.submit_job()`, `storage.s3().put_object()`.
CALL = re.compile(r"\.(batch|logs|ecr|s3|sts|iam)(?:\(\))?\s*\.([a-z0-9_]+)\(")
NOT_CALLS = {"config"}


def made(*, inspecting: bool) -> set[str]:
    """The operations that the core's source calls, such as `s3:UploadPart`; of the doctor or of all else."""
    found = set()
    for path in SOURCES.rglob("*.rs"):
        if ("inspect" in path.parts) == inspecting:
            for service, name in CALL.findall(path.read_text(encoding="utf-8")):
                if name not in NOT_CALLS:
                    found.add(f"{service}:{''.join(word.capitalize() for word in name.split('_'))}")
    return found


def operations(*tables: tuple[policy.Right, ...]) -> set[str]:
    return {operation for table in tables for right in table for operation in right.operations}


def granted(document: dict[str, Any]) -> dict[str, list[str]]:
    """Resources by action."""
    found: dict[str, list[str]] = {}
    for statement in document["Statement"]:
        actions, arns = (_many(statement[name]) for name in ("Action", "Resource"))
        for action in actions:
            found.setdefault(action, []).extend(arns)
    return found


def _many(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_the_table_has_every_call_that_the_core_makes() -> None:
    assert len(made(inspecting=False)) > 15
    assert made(inspecting=False) <= operations(USER) | set(FREE)
    assert made(inspecting=True) <= operations(USER, DOCTOR) | set(FREE)


def test_every_error_names_an_action_of_the_table() -> None:
    """An error tells which right to ask for."""
    text = "".join(path.read_text(encoding="utf-8") for path in SOURCES.rglob("*.rs"))
    named = set(re.findall(r'(?:from_sdk|batch_error)\(\s*"([a-z0-9]+:\w+)"', text))
    assert len(named) > 15
    assert named <= {right.action for right in USER + DOCTOR} | set(FREE)


def test_the_execution_role_may_fetch_the_secrets_and_nothing_else() -> None:
    secrets = {
        "A": "arn:aws:secretsmanager:eu-west-1:210987654321:secret:a-AbCdEf:key::",
        "B": "arn:aws:secretsmanager:eu-west-1:210987654321:secret:a-AbCdEf",
        "C": "/team/c",
    }
    assert granted(document(policy.EXECUTION, Settings(secrets=secrets), PLACE)) == {
        "secretsmanager:GetSecretValue": ["arn:aws:secretsmanager:eu-west-1:210987654321:secret:a-AbCdEf"],
        "ssm:GetParameters": ["arn:aws:ssm:eu-central-1:123456789012:parameter/team/c"],
    }
    assert document(policy.EXECUTION, Settings(), PLACE)["Statement"] == []
    printed = CliRunner().invoke(main, ["policy", "execution", "--account=123456789012", "--secrets=C:/team/c"])
    assert "ssm:us-east-1:123456789012:parameter/team/c" in printed.output


def test_a_call_that_no_action_is_needed_for_is_not_in_the_table() -> None:
    """Nothing is granted that nothing needs: each operation of the table is made by the core, or passes a role."""
    assert operations(USER) - made(inspecting=False) == set()


def test_a_statement_is_about_one_kind_of_resource() -> None:
    pairs = {(right.sid, right.resource) for right in USER + JOB + DOCTOR}
    assert len(pairs) == len({sid for sid, _ in pairs})


def test_the_arns_are_filled_in() -> None:
    settings = Settings(region="eu-central-1", s3_bucket_name="mine", batch_queue="q", batch_job_role_name="path/Job")
    found = granted(document(USER, settings, PLACE))
    batch = "arn:aws:batch:eu-central-1:123456789012"
    assert found["s3:PutObject"] == ["arn:aws:s3:::mine/*"]
    assert found["s3:ListBucket"] == ["arn:aws:s3:::mine"]
    assert found["batch:SubmitJob"][0] == f"{batch}:job-queue/q"
    assert found["batch:TerminateJob"] == [f"{batch}:job/*"]
    assert found["iam:PassRole"] == [
        "arn:aws:iam::123456789012:role/ecsTaskExecutionRole",
        "arn:aws:iam::123456789012:role/path/Job",
    ]
    assert found["logs:GetLogEvents"] == ["arn:aws:logs:eu-central-1:123456789012:log-group:covalent-batch-job-logs:*"]
    assert not any("<" in arn for arns in found.values() for arn in arns)


def test_jobs_may_be_submitted_to_each_queue_that_a_task_may_go_to() -> None:
    arn = "arn:aws:batch:eu-central-1:123456789012:job-queue/mine"
    found = granted(document(USER, Settings(batch_queue="spot", retry_queues=["on-demand", arn]), PLACE))
    queues = [one.rpartition("/")[2] for one in found["batch:SubmitJob"] if ":job-queue/" in one]
    assert queues == ["spot", "on-demand", "mine"]


def test_nothing_is_granted_that_the_configuration_does_not_use() -> None:
    found = granted(document(USER, Settings(), PLACE))
    assert {"s3:DeleteObject", "ecr:DescribeImages", "kms:Decrypt"} & found.keys() == set()
    assert "s3:DeleteObject" in granted(document(USER, Settings(s3_cleanup="success"), PLACE))
    image = "210987654321.dkr.ecr.eu-west-1.amazonaws.com/team/jobs:v1"
    found = granted(document(USER, Settings(container_image_uri=image), PLACE))
    assert found["ecr:DescribeImages"] == ["arn:aws:ecr:eu-west-1:210987654321:repository/team/jobs"]
    assert "ecr:PutImage" not in granted(
        document(USER, Settings(container_image_uri=image, ecr_repo_name="own"), PLACE)
    )


def test_who_has_images_made_may_push_to_the_repository_and_read_a_private_base() -> None:
    own = ["arn:aws:ecr:eu-central-1:123456789012:repository/own"]
    found = granted(document(USER, Settings(ecr_repo_name="own"), PLACE))
    assert found["ecr:PutImage"] == found["ecr:UploadLayerPart"] == found["ecr:DescribeImages"] == own
    assert "ecr:GetDownloadUrlForLayer" not in found
    base = "210987654321.dkr.ecr.eu-west-1.amazonaws.com/team/python:3.11"
    settings = Settings(ecr_repo_name="own", runtime="ecr", container_image_uri=base)
    found = granted(document(USER, settings, PLACE))
    assert found["ecr:GetDownloadUrlForLayer"] == ["arn:aws:ecr:eu-west-1:210987654321:repository/team/python"]
    assert not [action for action in granted(document(JOB, settings, PLACE)) if action.startswith("ecr:")]
    needed = {
        right.action: right.without for right, _ in policy.needed(USER, settings, PLACE) if right.sid == "Repository"
    }
    assert needed["ecr:PutImage"] == "", "without it no task can run"
    assert needed["ecr:BatchDeleteImage"] != ""


def test_the_job_role_reaches_the_objects_alone() -> None:
    found = granted(document(JOB, Settings(s3_bucket_name="mine"), PLACE))
    objects = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"]
    uploads = {"s3:ListBucketMultipartUploads": ["arn:aws:s3:::mine"]}
    assert found == {action: ["arn:aws:s3:::mine/*"] for action in objects} | uploads


def test_the_deployed_job_role_has_what_the_table_says() -> None:
    terraform = (Path(policy.__file__).parents[1] / "assets/infra/roles.tf").read_text(encoding="utf-8")
    job = terraform.split('resource "aws_iam_role_policy" "job"')[1].split("\nresource ")[0]
    statements = dict(re.findall(r'Sid += "(\w+)".*?Action += \[(.*?)\]', job, re.DOTALL))
    found = {sid: set(re.findall(r'"(.*?)"', actions)) for sid, actions in statements.items()}
    assert found == {sid: {right.action for right in JOB if right.sid == sid} for sid in {right.sid for right in JOB}}


@pytest.mark.parametrize(
    ("key", "arn"),
    [
        ("abc-1", "arn:aws:kms:eu-central-1:123456789012:key/abc-1"),
        ("arn:aws:kms:eu-west-1:210987654321:key/abc-1", "arn:aws:kms:eu-west-1:210987654321:key/abc-1"),
        ("alias/mine", "arn:aws:kms:eu-central-1:123456789012:key/*"),
        ("arn:aws:kms:eu-west-1:210987654321:alias/mine", "arn:aws:kms:eu-west-1:210987654321:key/*"),
    ],
)
def test_a_key_is_granted_to_both(key: str, arn: str) -> None:
    for table in (USER, JOB):
        written = document(table, Settings(s3_kms_key_id=key), PLACE)
        assert granted(written)["kms:Decrypt"] == granted(written)["kms:GenerateDataKey"] == [arn]
        conditions = [statement["Condition"] for statement in written["Statement"] if "Condition" in statement]
        alias = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/mine"}}
        assert conditions == ([alias] if "alias" in key else [])


@pytest.mark.parametrize(("tags", "essential"), [({}, False), ({"team": "physics"}, True)])
def test_who_asks_for_tags_needs_the_right_to_give_them(tags: dict[str, str], essential: bool) -> None:
    rights = [
        right for right, _ in policy.needed(USER, Settings(tags=tags), PLACE) if right.action == "batch:TagResource"
    ]
    assert [not right.without for right in rights] == [essential]


def test_other_partitions_and_access_points() -> None:
    china = Place("123456789012", "cn-north-1", policy.partition_of("cn-north-1"))
    point = "arn:aws-cn:s3:cn-north-1:123456789012:accesspoint/mine"
    found = granted(document(USER, Settings(region="cn-north-1", s3_bucket_name=point), china))
    assert found["s3:PutObject"] == [f"{point}/object/*"]
    assert found["batch:TerminateJob"] == ["arn:aws-cn:batch:cn-north-1:123456789012:job/*"]


def test_a_document_fits_into_a_managed_policy() -> None:
    """6,144 characters without blanks, and no statement id twice."""
    written = document(USER + DOCTOR, Settings(s3_kms_key_id="abc-1", s3_cleanup="always"), PLACE)
    assert len(json.dumps(written, separators=(",", ":"))) < 6144
    ids = [statement["Sid"] for statement in written["Statement"]]
    assert len(ids) == len(set(ids))
    assert json.loads(policy.text(written)) == written


@pytest.mark.parametrize(("owner", "account"), [("", "123456789012"), ("210987654321", "210987654321"), ("any", "*")])
def test_an_alias_is_granted_by_the_name_of_its_access_point(owner: str, account: str) -> None:
    """IAM takes no alias: https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-naming.html."""
    alias = "team-jobs-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias"
    place = Place("123456789012", "eu-central-1", "aws")
    found = granted(document(USER, Settings(s3_bucket_name=alias, s3_bucket_owner=owner), place))
    point = f"arn:aws:s3:*:{account}:accesspoint/team-jobs*"
    assert found["s3:PutObject"] == [f"{point}/object/*"]
    assert found["s3:ListBucket"] == [point]


@pytest.mark.parametrize("bucket", ["mine", "arn:aws:s3:eu-central-1:123456789012:accesspoint/mine"])
def test_environments_can_be_deleted_by_whoever_is_to(bucket: str) -> None:
    flags = ["policy", "user", "--prune", "--account=123456789012", f"--s3-bucket-name={bucket}"]
    found = granted(json.loads(CliRunner().invoke(main, flags).output))
    objects = f"{bucket}/object" if bucket.startswith("arn:") else f"arn:aws:s3:::{bucket}"
    assert found["s3:DeleteObject"] == [f"{objects}/environments/*"]
    found = granted(json.loads(CliRunner().invoke(main, [*flags, "--container-image-uri=registry/mine"]).output))
    assert "s3:DeleteObject" not in found


def test_the_example_has_every_statement_that_is_not_for_a_key() -> None:
    ids = [statement["Sid"] for statement in document(USER, EXAMPLE, EXAMPLE_PLACE)["Statement"]]
    assert set(ids) == {right.sid for right in USER} - {"Key"}


def test_the_job_role_does_not_get_what_the_doctor_needs() -> None:
    """Functions run under it."""
    answer = CliRunner().invoke(main, ["policy", "job", "--doctor", "--example"])
    assert answer.exit_code == 2
    assert "covalent-awsbatch policy user --doctor" in answer.output
