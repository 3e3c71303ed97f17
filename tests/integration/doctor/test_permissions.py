"""Which rights are missing, and what cannot be told without a right."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support.doctor import ask, denying, flags_of
from support.servers import Answer, HttpServer, Request
from support.signing import forward_signed

from covalent_awsbatch_plugin.cli import main
from covalent_awsbatch_plugin.local import LocalAWS


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
        policy = json.loads(CliRunner().invoke(main, ["policy", "user", *flags_of(wanted)]).stdout)
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


def test_the_execution_role_may_not_fetch_a_secret(aws: LocalAWS, options: dict[str, Any]) -> None:
    secrets = {"secrets": "TOKEN:/team/token"}
    name = "execution role's rights"
    wrong = ask({**options, **secrets}).wrong()
    assert list(wrong) == [name]
    assert "it may not ssm:GetParameters on arn:aws:ssm:us-east-1:123456789012:parameter/team/token" in wrong[name]
    assert "covalent-awsbatch policy execution" in wrong[name]
    printed = CliRunner().invoke(main, ["policy", "execution", *flags_of({**options, **secrets})]).stdout
    iam = aws.client("iam")
    iam.put_role_policy(RoleName="ecsTaskExecutionRole", PolicyName="secrets", PolicyDocument=printed)
    try:
        assert ask({**options, **secrets}).found(name) == "it may fetch what `secrets` names: TOKEN"
    finally:
        iam.delete_role_policy(RoleName="ecsTaskExecutionRole", PolicyName="secrets")
