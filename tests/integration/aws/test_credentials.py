"""The SDK's credential chain as the core uses it: whose credentials sign the requests that arrive at a server."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.probing import Probe
from support.servers import HttpServer
from support.sts import ACCOUNT, LATER, answer, profile, secret, token

Ask = Callable[..., str]

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": secret("ENV")}
# What nobody may ever read in a log or an error.
SECRETS = ("secret-of-", "token-of-", "web-token", "container-secret", "sso-token", "imds-session")


@pytest.fixture
def ask(probe: Probe, aws: HttpServer) -> Ask:
    """`ask(environment, **settings)` is the access key id in force; the server stands for every service."""

    def caller(environment: dict[str, str], **settings: str) -> str:
        outcome = probe({"AWS_ENDPOINT_URL": aws.url, **environment}, **settings)
        assert "identity" in outcome, outcome
        assert outcome["environment_is_unchanged"]
        assert not [record for record in outcome["records"] if any(secret in record for secret in SECRETS)]
        identity = outcome["identity"]
        assert identity["Account"] == ACCOUNT
        assert identity["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/{identity['UserId']}"
        return str(identity["UserId"])

    return caller


def signed_with_token(aws: HttpServer) -> Any:
    """The session token of the last request."""
    return aws.requests[-1].headers.get("x-amz-security-token")


def test_credentials_of_the_environment(ask: Ask, aws: HttpServer) -> None:
    assert ask({**ENVIRONMENT, "AWS_SESSION_TOKEN": token("ENV")}) == "ENV"
    assert signed_with_token(aws) == token("ENV")


def test_a_profile_that_is_named_wins_over_the_environment(ask: Ask, home: Path) -> None:
    (home / ".aws" / "credentials").write_text(profile("default", "DEFAULT") + profile("work", "WORK"))
    assert ask(ENVIRONMENT, profile="work") == "WORK"
    assert ask(ENVIRONMENT) == "ENV"
    assert ask({}) == "DEFAULT"


def test_the_profile_of_the_environment(ask: Ask, home: Path) -> None:
    (home / ".aws" / "credentials").write_text(profile("default", "DEFAULT") + profile("work", "WORK"))
    assert ask({"AWS_PROFILE": "work"}) == "WORK"
    assert ask({"AWS_PROFILE": "work"}, profile="default") == "DEFAULT"


def test_a_credentials_file_of_ones_own(ask: Ask, home: Path, tmp_path: Path) -> None:
    (home / ".aws" / "credentials").write_text(profile("default", "DEFAULT") + profile("work", "WORK"))
    own = tmp_path / "own credentials"
    own.write_text(profile("default", "OWN") + profile("work", "OWN-WORK"))
    assert ask({}, credentials=str(own)) == "OWN"
    assert ask({}, credentials=str(own), profile="work") == "OWN-WORK"
    assert ask({"AWS_PROFILE": "work"}, credentials=str(own)) == "OWN-WORK"


def test_files_that_the_environment_names(ask: Ask, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text(profile("default", "ELSEWHERE"))
    assert ask({"AWS_SHARED_CREDENTIALS_FILE": str(elsewhere)}) == "ELSEWHERE"


@pytest.mark.parametrize("named", [True, False])
def test_a_role_that_another_profile_assumes(ask: Ask, aws: HttpServer, home: Path, named: bool) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/Work"
    (home / ".aws" / "credentials").write_text(profile("base", "BASE"))
    (home / ".aws" / "config").write_text(f"[profile work]\nrole_arn = {role}\nsource_profile = base\n")
    if named:
        assert ask(ENVIRONMENT, profile="work") == "ROLE-BY-BASE"
    else:
        assert ask({"AWS_PROFILE": "work"}) == "ROLE-BY-BASE"
    assert signed_with_token(aws) == token("ROLE-BY-BASE")
    assert "role%2FWork" in aws.requests[0].body.decode()


def test_a_role_over_a_credentials_file_of_ones_own(ask: Ask, home: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text(profile("base", "OWN"))
    (home / ".aws" / "config").write_text(
        f"[profile work]\nrole_arn = arn:aws:iam::{ACCOUNT}:role/Work\nsource_profile = base\n"
    )
    assert ask({}, credentials=str(own), profile="work") == "ROLE-BY-OWN"


def test_a_web_identity(ask: Ask, aws: HttpServer, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("web-token")
    variables = {
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
        "AWS_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/Pod",
        "AWS_ROLE_SESSION_NAME": "pod",
    }
    assert ask(variables) == "WEB"
    assert signed_with_token(aws) == token("WEB")


def test_a_container(ask: Ask, aws: HttpServer, tmp_path: Path) -> None:
    url = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{aws.url}/container"}
    assert ask({**url, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "container-secret"}) == "CONTAINER"
    assert signed_with_token(aws) == token("CONTAINER")
    (tmp_path / "token").write_text("container-secret")
    assert ask({**url, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token")}) == "CONTAINER"


def test_a_program_of_the_users(ask: Ask, aws: HttpServer, home: Path, tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    said = {"Version": 1, "AccessKeyId": "PROGRAM", "SecretAccessKey": secret("PROGRAM")}
    script.write_text(
        f"print({json.dumps(json.dumps({**said, 'SessionToken': token('PROGRAM'), 'Expiration': LATER}))})"
    )
    (home / ".aws" / "config").write_text(f"[profile work]\ncredential_process = {sys.executable} {script}\n")
    assert ask(ENVIRONMENT, profile="work") == "PROGRAM"
    assert signed_with_token(aws) == token("PROGRAM")


def test_an_instance(ask: Ask, aws: HttpServer) -> None:
    metadata = {"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": aws.url}
    assert ask(metadata) == "INSTANCE"
    assert signed_with_token(aws) == token("INSTANCE")


@pytest.mark.parametrize("form", ["sso_session", "legacy"])
def test_single_sign_on(ask: Ask, aws: HttpServer, home: Path, form: str) -> None:
    """AWS_ENDPOINT_URL holds for the portal as well."""
    place = "sso_start_url = https://company.awsapps.com/start\nsso_region = us-east-1\n"
    account = f"sso_account_id = {ACCOUNT}\nsso_role_name = Scientist\n"
    if form == "legacy":
        config, cached_as = f"[profile work]\n{place}{account}", "https://company.awsapps.com/start"
    else:
        config = f"[profile work]\nsso_session = company\n{account}[sso-session company]\n{place}"
        cached_as = "company"
    (home / ".aws" / "config").write_text(config)
    cache = home / ".aws" / "sso" / "cache" / f"{hashlib.sha1(cached_as.encode()).hexdigest()}.json"
    cache.parent.mkdir(parents=True)
    session = {"startUrl": "https://company.awsapps.com/start", "region": "us-east-1"}
    cache.write_text(json.dumps({**session, "accessToken": "sso-token", "expiresAt": LATER}))
    assert ask(ENVIRONMENT, profile="work") == "SSO"
    assert signed_with_token(aws) == token("SSO")
    assert ask({"AWS_PROFILE": "work"}) == "SSO"


def refused(outcome: dict[str, Any], kind: str = "AccessError") -> str:
    """The message of an outcome that has to be an error: one line, soon, and with no secret anywhere."""
    assert outcome.get("error") == kind, outcome
    assert "\n" not in outcome["message"]
    everything = json.dumps(outcome)
    assert not [secret for secret in SECRETS if secret in everything]
    return str(outcome["message"])


def test_no_credentials_at_all(probe: Probe, aws: HttpServer) -> None:
    outcome = probe({"AWS_ENDPOINT_URL": aws.url})
    message = refused(outcome)
    assert message.startswith("no usable AWS credentials for sts:GetCallerIdentity")
    assert outcome["details"]["operation"] == "sts:GetCallerIdentity"
    assert "PermissionError" in outcome["bases"]
    assert "dispatch failure" not in message
    assert "  " not in message
    for place in ("Environment", "Profile", "WebIdentityToken", "EcsContainer", "Ec2InstanceMetadata"):
        assert place in outcome["details"]["providers"]
        assert place not in message
    assert aws.requests == []


def test_a_profile_that_does_not_exist(probe: Probe, aws: HttpServer, home: Path) -> None:
    (home / ".aws" / "credentials").write_text(profile("default", "DEFAULT"))
    outcome = probe({"AWS_ENDPOINT_URL": aws.url, **ENVIRONMENT}, profile="wrok")
    assert "wrok" in refused(outcome)
    assert aws.requests == []


@pytest.mark.parametrize("named", [{}, {"profile": "work"}])
def test_a_file_that_is_not_there_is_named_by_its_option_alone(
    probe: Probe, aws: HttpServer, named: dict[str, str]
) -> None:
    """What stands in the path's place may be a key, and the SDK would write it into its errors and records."""
    outcome = probe({"AWS_ENDPOINT_URL": aws.url}, credentials="/secret-of-nobody/K7MDENG", **named)
    assert "`credentials` names cannot be found: No such file" in refused(outcome)
    assert "K7MDENG" not in json.dumps(outcome)


def test_a_program_that_fails(probe: Probe, aws: HttpServer, home: Path) -> None:
    (home / ".aws" / "config").write_text("[profile work]\ncredential_process = false\n")
    refused(probe({"AWS_ENDPOINT_URL": aws.url}, profile="work"))


def test_a_session_that_has_ended(probe: Probe, aws: HttpServer, home: Path) -> None:
    config = "[profile work]\nsso_session = company\nsso_account_id = 1\nsso_role_name = Scientist\n"
    config += "[sso-session company]\nsso_start_url = https://company.awsapps.com/start\nsso_region = us-east-1\n"
    (home / ".aws" / "config").write_text(config)
    refused(probe({"AWS_ENDPOINT_URL": aws.url}, profile="work"))


def test_the_endpoint_of_one_service(probe: Probe, aws: HttpServer) -> None:
    with HttpServer(answer) as sts:
        outcome = probe({"AWS_ENDPOINT_URL": aws.url, "AWS_ENDPOINT_URL_STS": sts.url, **ENVIRONMENT})
        assert outcome["identity"]["UserId"] == "ENV"
        assert (len(aws.requests), len(sts.requests)) == (0, 1)
        # The executor's own endpoint is the more specific setting.
        outcome = probe({"AWS_ENDPOINT_URL_STS": sts.url, **ENVIRONMENT}, endpoint_url=aws.url)
        assert outcome["identity"]["UserId"] == "ENV"
        assert (len(aws.requests), len(sts.requests)) == (1, 1)


def test_the_region_of_the_profile(ask: Ask, aws: HttpServer, home: Path) -> None:
    (home / ".aws" / "config").write_text("[profile work]\nregion = ap-south-1\n")
    (home / ".aws" / "credentials").write_text(profile("work", "WORK"))
    ask({}, profile="work", region="")
    assert "/ap-south-1/sts/" in aws.requests[-1].headers["authorization"]
    ask({}, profile="work", region="sa-east-1")
    assert "/sa-east-1/sts/" in aws.requests[-1].headers["authorization"]
