"""The doctor names what is wrong, with its fix, and what it cannot tell: over HTTP, on the embedded AWS and the lab."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import toml
from click.testing import CliRunner

pytest.importorskip("moto.server")

from lab import Lab, Queue, faults
from support.servers import Answer, HttpServer, Request
from support.signing import forward_signed

from covalent_awsbatch_plugin.cli import main
from covalent_awsbatch_plugin.doctor import images
from covalent_awsbatch_plugin.doctor.checks import STEPS
from covalent_awsbatch_plugin.local import LocalAWS

REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
QUEUE = "covalent-batch-queue"
NAMES = [
    "credentials",
    "region",
    "clock",
    "bucket",
    "objects",
    "encryption",
    "queue",
    "environment covalent-batch-environment",
    "execution role",
    "job role",
    "job role's rights",
    "log group",
    "image",
    "permissions",
]


@dataclass(frozen=True)
class Report:
    """What the doctor said."""

    code: int
    state: str
    checks: list[dict[str, Any]]

    def wrong(self) -> dict[str, str]:
        """What is wrong by its name: what was found, and the fix."""
        return {one["name"]: f"{one['found']} → {one['fix']}" for one in self.checks if one["state"] == "wrong"}

    def untold(self) -> dict[str, str]:
        return {one["name"]: one["found"] for one in self.checks if one["state"] == "unknown"}

    def found(self, name: str) -> str:
        return next(str(one["found"]) for one in self.checks if one["name"] == name)


def ask(options: dict[str, Any], *flags: str) -> Report:
    """Asks the doctor with these options of the executor."""
    arguments = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    answer = CliRunner().invoke(main, ["doctor", "--json", *flags, *arguments])
    assert answer.exception is None or isinstance(answer.exception, SystemExit), answer.output
    content = json.loads(answer.stdout)
    assert answer.exit_code == {"well": 0, "wrong": 1, "unknown": 2}[content["state"]]
    assert all(one["fix"] for one in content["checks"] if one["state"] == "wrong")
    return Report(answer.exit_code, content["state"], content["checks"])


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAWS]:
    """An embedded AWS with an image for each kind of processor."""
    with LocalAWS() as aws:
        ecr = aws.client("ecr")
        ecr.create_repository(repositoryName="team/jobs")
        for number, architecture in enumerate(("amd64", "arm64")):
            entry = {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": f"sha256:{number:064}",
                "size": 1,
                "platform": {"architecture": architecture, "os": "linux"},
            }
            index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]}
            ecr.put_image(repositoryName="team/jobs", imageTag=architecture, imageManifest=json.dumps(index))
        yield aws


@pytest.fixture
def options(aws: LocalAWS) -> dict[str, Any]:
    return {**aws.options, "container_image_uri": f"{REGISTRY}/team/jobs:amd64"}


def test_all_is_well(options: dict[str, Any]) -> None:
    report = ask(options)
    assert [one["name"] for one in report.checks] == NAMES
    assert (report.code, report.wrong(), report.untold()) == (0, {}, {})
    assert report.found("image").endswith("amd64, pushed today")


def test_it_leaves_nothing_in_the_bucket(aws: LocalAWS, options: dict[str, Any]) -> None:
    ask(options)
    assert aws.client("s3").list_objects_v2(Bucket="covalent-batch-job-resources")["KeyCount"] == 0


@pytest.mark.parametrize(
    ("broken", "name", "said"),
    [
        ({"s3_bucket_name": "gone"}, "bucket", ("no bucket gone", "aws s3 mb s3://gone")),
        ({"region": "eu-central-1"}, "queue", ("no queue", "eu-central-1", "set `batch_queue` and `region`")),
        ({"batch_queue": "gone"}, "queue", ("there is no queue gone", "set `batch_queue`")),
        ({"batch_job_role_name": "Gone"}, "job role", ("there is no role Gone", "create it", "batch_job_role_name")),
        ({"batch_execution_role_name": "Gone"}, "execution role", ("no role Gone", "batch_execution_role_name")),
        (
            {"batch_job_role_name": "ecsInstanceRole"},
            "job role",
            ("ecsInstanceRole does not trust ecs-tasks.amazonaws.com", "update-assume-role-policy"),
        ),
        ({"batch_job_role_name": "arn:aws:iam::210987654321:role/Other"}, "job role", ("another account",)),
        (
            {"batch_job_role_name": "ecsTaskExecutionRole"},
            "job role's rights",
            ("it may not s3:GetObject on", "s3:PutObject", "covalent-awsbatch policy job"),
        ),
        ({"batch_job_log_group_name": "gone"}, "log group", ("no log group gone", "create-log-group")),
        ({"container_image_uri": f"{REGISTRY}/team/jobs:v2"}, "image", ("holds no image v2", "push it")),
        ({"container_image_uri": f"{REGISTRY}/gone:v1"}, "image", ("no ECR repository gone", "container_image_uri")),
        ({"container_image_uri": f"{REGISTRY}/team/jobs:arm64"}, "image", ("for arm64", "linux/amd64")),
        ({"vcpu": 99}, NAMES[7], ("never fit", "at most 16 vCPUs", "vcpu=99", "ask for less")),
        ({"memory": "much"}, "configuration", ("memory='much'", "must be a number of GB")),
    ],
)
def test_what_is_wrong_is_named_with_its_fix(
    options: dict[str, Any], broken: dict[str, Any], name: str, said: tuple[str, ...]
) -> None:
    report = ask({**options, **broken})
    assert report.code == 1
    for part in said:
        assert part in report.wrong()[name]


def test_a_queue_that_is_disabled(aws: LocalAWS, options: dict[str, Any]) -> None:
    aws.client("batch").update_job_queue(jobQueue=QUEUE, state="DISABLED")
    try:
        wrong = ask(options).wrong()
    finally:
        aws.client("batch").update_job_queue(jobQueue=QUEUE, state="ENABLED")
    assert list(wrong) == ["queue"]
    assert f"update-job-queue --job-queue {QUEUE} --state ENABLED" in wrong["queue"]


def test_an_environment_that_is_disabled(aws: LocalAWS, options: dict[str, Any]) -> None:
    batch, name = aws.client("batch"), "covalent-batch-environment"
    batch.update_compute_environment(computeEnvironment=name, state="DISABLED")
    try:
        wrong = ask(options).wrong()
    finally:
        batch.update_compute_environment(computeEnvironment=name, state="ENABLED")
    assert list(wrong) == [NAMES[7]]
    assert f"update-compute-environment --compute-environment {name} --state ENABLED" in wrong[NAMES[7]]


@pytest.mark.parametrize(
    ("queue", "said"),
    [
        (
            Queue(environment_status="INVALID", environment_reason="CLIENT_ERROR - role not found"),
            ("ENABLED and INVALID: CLIENT_ERROR - role not found", "mend what the reason says"),
        ),
        (Queue(kind="FARGATE"), ("never fit: it is FARGATE", "the job is for EC2", 'set `platform="FARGATE"`')),
        (Queue(max_vcpus=1), ("at most 1 vCPUs",)),
    ],
)
def test_an_environment_that_cannot_run_the_job(queue: Queue, said: tuple[str, ...]) -> None:
    with Lab(queues={"lab-queue": queue}) as lab:
        wrong = ask({**lab.options, "container_image_uri": "127.0.0.1:1/jobs:v1"}).wrong()
    assert list(wrong) == ["environment lab-queue-environment"]
    for part in said:
        assert part in wrong["environment lab-queue-environment"]


def test_one_environment_that_holds_the_job_is_enough(aws: LocalAWS, options: dict[str, Any]) -> None:
    with another_environment(aws, "gpus", "g4dn.xlarge"):
        report = ask({**options, "num_gpus": 1})
    assert (report.code, report.wrong()) == (0, {})
    assert "the job goes to another one of the queue's" in report.found(NAMES[7])
    assert report.found("environment gpus").endswith("num_gpus=1 fits")


def test_one_environment_that_may_hold_the_job_is_not_told(aws: LocalAWS, options: dict[str, Any]) -> None:
    with another_environment(aws, "many-gpus", "g4dn"):
        report = ask({**options, "num_gpus": 1})
    assert (report.code, report.wrong()) == (2, {})
    assert "could not tell whether another one of the queue's does" in report.untold()[NAMES[7]]
    assert "could not tell whether a job of" in report.untold()["environment many-gpus"]


@contextmanager
def another_environment(aws: LocalAWS, added: str, instance_type: str) -> Iterator[None]:
    """A second one behind the queue, with machines of one type or family."""
    batch, name = aws.client("batch"), "covalent-batch-environment"
    (one,) = batch.describe_compute_environments(computeEnvironments=[name])["computeEnvironments"]
    other = batch.create_compute_environment(
        computeEnvironmentName=added,
        state="ENABLED",
        type="MANAGED",
        serviceRole=one["serviceRole"],
        computeResources={**one["computeResources"], "instanceTypes": [instance_type]},
    )
    arns = (one["computeEnvironmentArn"], other["computeEnvironmentArn"])
    order = [{"order": number, "computeEnvironment": arn} for number, arn in enumerate(arns)]
    batch.update_job_queue(jobQueue=QUEUE, computeEnvironmentOrder=order)
    try:
        yield
    finally:
        batch.update_job_queue(jobQueue=QUEUE, computeEnvironmentOrder=order[:1])


@pytest.mark.parametrize(
    ("types", "memory", "said"),
    [
        (("optimal",), 300, "could not tell whether a job of vcpu=2, memory=300 fits"),
        (("m5",), 300, "(m5) do not tell"),
        (("i3.xlarge",), 3.75, "(i3.xlarge) do not tell"),
        (("m5.large",), 7.7, "memory=7.7 is close to the limit of m5.large"),
    ],
)
def test_whether_a_job_fits_is_not_said_where_nobody_can_tell(types: tuple[str], memory: float, said: str) -> None:
    with Lab(queues={"lab-queue": Queue(instance_types=types)}) as lab:
        report = ask({**lab.options, "memory": memory, "container_image_uri": "127.0.0.1:1/jobs:v1"})
    assert report.wrong() == {}
    assert said in report.untold()["environment lab-queue-environment"]


def test_a_job_that_asks_for_all_of_a_machines_memory_never_fits() -> None:
    with Lab(queues={"lab-queue": Queue(instance_types=("m5.large",))}) as lab:
        wrong = ask({**lab.options, "memory": 8, "container_image_uri": "127.0.0.1:1/jobs:v1"}).wrong()
    assert "keeps 2 to 10 % for its kernel and the ECS agent" in wrong["environment lab-queue-environment"]


def test_what_aws_is_still_changing_is_neither_well_nor_wrong() -> None:
    with Lab(queues={"lab-queue": Queue(status="UPDATING", environment_status="CREATING")}) as lab:
        report = ask(lab.options)
    assert report.wrong() == {}
    assert report.untold()["queue"].startswith("lab-queue is ENABLED and UPDATING")
    assert "ask again in a minute" in report.untold()["environment lab-queue-environment"]


# --- the bucket, as S3 itself answers ---


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


def test_how_the_bucket_encrypts(aws: LocalAWS, options: dict[str, Any]) -> None:
    s3, name = aws.client("s3"), "covalent-batch-job-resources"
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/mine"}}
    s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [rule]})
    try:
        assert ask(options).found("encryption") == "aws:kms by alias/mine"
    finally:
        s3.delete_bucket_encryption(Bucket=name)


# --- images ---


def test_an_image_of_one_kind_names_it_in_its_configuration(aws: LocalAWS, options: dict[str, Any]) -> None:
    forward = forward_signed(aws)
    digest = f"sha256:{7:064}"
    manifest = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "config": {"digest": digest}, "layers": []}
    server: HttpServer

    def answer(request: Request) -> Answer:
        target = request.headers.get("x-amz-target", "")
        if target.endswith("BatchGetImage"):
            return Answer(json.dumps({"images": [{"imageManifest": json.dumps(manifest)}]}).encode())
        if target.endswith("GetDownloadUrlForLayer"):
            assert json.loads(request.body)["layerDigest"] == digest
            return Answer(json.dumps({"downloadUrl": f"{server.url}/configuration"}).encode())
        return Answer(b'{"architecture": "arm64"}') if request.path == "/configuration" else forward(request)

    with HttpServer(answer) as server:
        report = ask({**options, "endpoint_url": server.url})
    assert "is for arm64, and the queue's instances are amd64" in report.wrong()["image"]


@pytest.mark.parametrize("manifest", ["[7]", '{"manifests": [7], "config": []}', "[" * 100_000])
def test_a_manifest_of_any_kind_does_not_hide_that_the_image_is_there(
    aws: LocalAWS, options: dict[str, Any], manifest: str
) -> None:
    forward = forward_signed(aws)

    def answer(request: Request) -> Answer:
        if request.headers.get("x-amz-target", "").endswith("BatchGetImage"):
            return Answer(json.dumps({"images": [{"imageManifest": manifest}]}).encode())
        return forward(request)

    with HttpServer(answer) as server:
        report = ask({**options, "endpoint_url": server.url})
    assert "its architecture could not be told" in report.found("image")


def test_a_registry_that_cannot_be_asked(options: dict[str, Any]) -> None:
    report = ask({**options, "container_image_uri": "127.0.0.1:1/team/jobs:v1"})
    assert (report.code, list(report.untold())) == (2, ["image"])
    assert "127.0.0.1:1 could not be asked from here" in report.untold()["image"]


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("python", ("registry-1.docker.io", "library/python", "latest")),
        ("team/jobs:v1", ("registry-1.docker.io", "team/jobs", "v1")),
        ("public.ecr.aws/covalent/base:stable", ("public.ecr.aws", "covalent/base", "stable")),
        ("localhost:5000/jobs@sha256:ab", ("localhost:5000", "jobs", "sha256:ab")),
        ("ghcr.io/a/b/c", ("ghcr.io", "a/b/c", "latest")),
    ],
)
def test_the_parts_of_an_images_name(uri: str, parts: tuple[str, str, str]) -> None:
    assert images._parts(uri) == parts


# --- credentials ---


@pytest.mark.parametrize("operation", ["*", "GetCallerIdentity"])
def test_expired_credentials(operation: str) -> None:
    with Lab(faults=[faults.expired(operation)]) as lab:
        report = ask(lab.options)
    assert list(report.wrong()) == ["credentials"]
    assert "ExpiredToken" in report.wrong()["credentials"]
    assert "aws sso login" in report.wrong()["credentials"]
    assert report.found("clock") == "agrees with AWS's"
    assert report.untold()["permissions"] == "not asked, for want of credentials"


def test_no_credentials(options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    (tmp_path / "credentials").touch()
    report = ask({**options, "credentials": tmp_path / "credentials"})
    assert report.code == 1
    assert list(report.wrong()) == ["credentials"]
    assert "AWS_ACCESS_KEY_ID" in report.wrong()["credentials"]
    assert report.untold().keys() == {"clock", *(name for name, _ in STEPS if name not in ("credentials", "region"))}


@pytest.mark.parametrize(("ahead", "said"), [(600, "behind AWS's"), (-600, "ahead of AWS's")])
def test_a_clock_that_is_wrong(ahead: float, said: str) -> None:
    with Lab(faults=[faults.skewed(ahead)]) as lab:
        report = ask(lab.options)
    assert said in report.wrong()["clock"]
    assert "set-ntp" in report.wrong()["clock"]


# --- rights ---


@pytest.fixture
def user(aws: LocalAWS, options: dict[str, Any], tmp_path: Path) -> Iterator[Callable[[list[str]], dict[str, Any]]]:
    """Options with the keys of a user who has the printed policy without these actions."""
    iam = aws.client("iam")
    iam.create_user(UserName="ada")
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    file = tmp_path / "ada"
    file.write_text(
        f"[default]\naws_access_key_id = {key['AccessKeyId']}\naws_secret_access_key = {key['SecretAccessKey']}\n"
    )

    def without(actions: list[str]) -> dict[str, Any]:
        wanted = {**options, "credentials": str(file)}
        arguments = [part for name, value in wanted.items() for part in (f"--{name.replace('_', '-')}", str(value))]
        policy = json.loads(CliRunner().invoke(main, ["policy", "user", *arguments]).stdout)
        for statement in policy["Statement"]:
            granted = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            statement["Action"] = [action for action in granted if action not in actions]
        policy["Statement"] = [statement for statement in policy["Statement"] if statement["Action"]]
        iam.put_user_policy(UserName="ada", PolicyName="printed", PolicyDocument=json.dumps(policy))
        return wanted

    yield without
    iam.delete_user_policy(UserName="ada", PolicyName="printed")
    iam.delete_access_key(UserName="ada", AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName="ada")


def test_the_printed_policy_is_enough(user: Callable[[list[str]], dict[str, Any]]) -> None:
    report = ask(user([]))
    assert (report.code, report.wrong(), report.untold()) == (0, {}, {})
    assert report.found("credentials").startswith("arn:aws:iam::123456789012:user/ada")


def test_no_permission_to_submit(user: Callable[[list[str]], dict[str, Any]]) -> None:
    wrong = ask(user(["batch:SubmitJob"])).wrong()
    assert list(wrong) == ["permissions"]
    assert "you may not batch:SubmitJob on arn:aws:batch:us-east-1:123456789012:job-" in wrong["permissions"]
    assert "attach to arn:aws:iam::123456789012:user/ada" in wrong["permissions"]
    assert "covalent-awsbatch policy user" in wrong["permissions"]


def test_a_policy_of_the_old_plugin_is_well_with_its_consequences(
    user: Callable[[list[str]], dict[str, Any]],
) -> None:
    report = ask(user(["batch:ListJobs"]))
    assert report.code == 0
    assert "without batch:ListJobs a lost answer to SubmitJob ends the task" in report.found("permissions")


def test_what_was_seen_to_work_is_not_missing(user: Callable[[list[str]], dict[str, Any]]) -> None:
    """A bucket's own policy may allow what the user's does not."""
    assert ask(user(["s3:PutObject", "s3:GetObject"])).code == 0


def test_a_condition_that_only_a_call_can_meet(aws: LocalAWS, options: dict[str, Any]) -> None:
    forward = forward_signed(aws)

    def answer(request: Request) -> Answer:
        answer = forward(request)
        if b"Action=SimulatePrincipalPolicy" not in request.body:
            return answer
        missing = (
            b"implicitDeny</EvalDecision><MissingContextValues><member>aws:SourceIp</member></MissingContextValues>"
        )
        return Answer(answer.body.replace(b"allowed</EvalDecision>", missing), answer.status, answer.headers)

    with HttpServer(answer) as server:
        report = ask({**options, "endpoint_url": server.url})
    assert report.untold().keys() == {"job role's rights", "permissions"}
    assert "conditions that only a call itself can meet decide on batch:" in report.untold()["permissions"]


def denying(aws: LocalAWS, *targets: str) -> HttpServer:
    """The embedded AWS, where some services, or operations of theirs, are denied."""
    forward = forward_signed(aws)

    def answer(request: Request) -> Answer:
        if request.service in targets or any(target in request.path for target in targets):
            if request.service == "iam":
                error = b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"
                return Answer(error, 403)
            body = b'{"__type": "AccessDeniedException", "message": "no"}'
            return Answer(body, 403, {"x-amzn-errortype": "AccessDeniedException"})
        return forward(request)

    return HttpServer(answer)


def test_what_is_denied_is_not_told_and_the_rest_goes_on(aws: LocalAWS, options: dict[str, Any]) -> None:
    targets = ("iam", "logs", "ecr", "/v1/describejobqueues")
    with denying(aws, *targets) as server:
        report = ask({**options, "endpoint_url": server.url})
    assert report.code == 2
    assert report.untold() == {
        "queue": "could not tell: needs batch:DescribeJobQueues",
        "environment": "could not tell: the queue could not be looked at",
        "execution role": "could not tell: needs iam:GetRole",
        "job role": "could not tell: needs iam:GetRole",
        "job role's rights": "could not tell: needs iam:SimulatePrincipalPolicy",
        "log group": "could not tell: needs logs:DescribeLogGroups",
        "image": "could not tell: needs ecr:DescribeImages",
        "permissions": "could not tell: needs iam:SimulatePrincipalPolicy",
    }


# --- a job ---


def test_a_job_is_run_and_followed(options: dict[str, Any]) -> None:
    report = ask({**options, "vcpu": 1}, "--run")
    assert report.code == 0
    assert report.checks[-1]["name"] == "run"
    assert "Python 3." in report.checks[-1]["found"]
    seconds = report.checks[-1]["seconds"]
    assert {"SUBMITTED", "SUCCEEDED", "result"} <= seconds.keys()
    assert list(seconds.values()) == sorted(seconds.values())


def test_a_job_that_may_not_be_submitted(aws: LocalAWS, options: dict[str, Any]) -> None:
    with denying(aws, "iam", "/v1/submitjob") as server:
        report = ask({**options, "endpoint_url": server.url}, "--run")
    assert list(report.wrong()) == ["run"]
    assert "batch:SubmitJob" in report.wrong()["run"]


def test_no_job_is_run_while_something_is_wrong(aws: LocalAWS, options: dict[str, Any]) -> None:
    before = len(aws.jobs())
    report = ask({**options, "vcpu": 99}, "--run")
    assert "mend what is wrong first" in report.untold()["run"]
    assert len(aws.jobs()) == before


# --- the program ---


def test_the_program_reads_the_section_and_prints_lines(options: dict[str, Any], tmp_path: Path) -> None:
    section = {"executors": {"awsbatch": {**options, "s3_bucket_name": "gone"}}}
    (tmp_path / "covalent.conf").write_text(toml.dumps(section))
    command = [sys.executable, "-m", "covalent_awsbatch_plugin.cli", "doctor"]
    environment = {**os.environ, "COVALENT_CONFIG_DIR": str(tmp_path), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=60)
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    at = lines.index("✗ bucket: there is no bucket gone")
    assert lines[at + 1].startswith("    → create it: `aws s3 mb s3://gone")
    assert lines[-1] == "Something is wrong."
    options_given = ["--s3-bucket-name", "covalent-batch-job-resources"]
    done = subprocess.run(
        command + options_given, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=60
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == "All is well."


def test_the_policy_asks_aws_for_the_account_unless_it_is_given(options: dict[str, Any]) -> None:
    arguments = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    asked = CliRunner().invoke(main, ["policy", "user", *arguments])
    given = CliRunner().invoke(main, ["policy", "user", *arguments, "--account", "123456789012"])
    assert asked.exit_code == given.exit_code == 0
    assert asked.stdout == given.stdout
    assert "arn:aws:iam::123456789012:role/CovalentBatchJobRole" in asked.stdout
    assert "iam:GetRole" in CliRunner().invoke(main, ["policy", "user", "--doctor", "--example"]).stdout
