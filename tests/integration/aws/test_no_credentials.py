"""Why there are no credentials: what was looked at, what to type, and never a key."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from support.probing import Probe
from support.servers import Answer, HttpServer, Request
from support.sts import ACCOUNT, LATER, answer, profile, secret, token

from covalent_awsbatch_plugin.cli import main

EARLIER = "2020-01-01T00:00:00Z"
SECRETS = ("secret-of-", "token-of-", "sso-token", "K7MDENG")
ROLE = f"role_arn = arn:aws:iam::{ACCOUNT}:role/Work\n"
SSO = f"sso_session = company\nsso_account_id = {ACCOUNT}\nsso_role_name = Scientist\n"
COMPANY = "[sso-session company]\nsso_start_url = https://company.awsapps.com/start\nsso_region = us-east-1\n"


def refused(probe: Probe, server: HttpServer, environment: dict[str, str] | None = None, **settings: str) -> Any:
    """The details of an error that has to be one, in one line, with no key and with no record of the SDK's."""
    outcome = probe({"AWS_ENDPOINT_URL": server.url, **(environment or {})}, **settings)
    assert outcome["error"] == "AccessError", outcome
    details = outcome["details"]
    assert outcome["message"].endswith(f"{details['found']}; {details['fix']}")
    assert "\n" not in outcome["message"]
    assert not [secret for secret in SECRETS if secret in json.dumps(outcome)]
    assert not [record for record in outcome["records"] if "credential" in record or "profile" in record]
    return details


def session_of_single_sign_on(home: Path, expires: str) -> None:
    cache = home / ".aws" / "sso" / "cache" / f"{hashlib.sha1(b'company').hexdigest()}.json"
    cache.parent.mkdir(parents=True)
    place = {"startUrl": "https://company.awsapps.com/start", "region": "us-east-1"}
    cache.write_text(json.dumps({**place, "accessToken": "sso-token", "expiresAt": expires}))


@pytest.mark.parametrize(
    ("session", "said"), [("none", "there is no session"), ("expired", "has expired"), ("revoked", "has expired")]
)
@pytest.mark.parametrize("through", ["itself", "a role"])
def test_single_sign_on_names_the_profile_and_what_to_type(
    probe: Probe, home: Path, session: str, said: str, through: str
) -> None:
    config = f"[profile people]\n{SSO}{COMPANY}[profile work]\n{ROLE}source_profile = people\n"
    (home / ".aws" / "config").write_text(config)
    if session != "none":
        session_of_single_sign_on(home, EARLIER if session == "expired" else LATER)

    def portal(request: Request) -> Answer:
        if request.path.startswith("/federation"):
            return Answer(b'{"message": "Session token not found"}', 401, {"x-amzn-ErrorType": "UnauthorizedException"})
        return answer(request)

    with HttpServer(portal) as server:
        details = refused(probe, server, profile="people" if through == "itself" else "work")
    assert said in details["found"]
    assert "'people'" in details["found"]
    assert details["fix"].endswith("`aws sso login --profile people`")


def session_of_login(home: Path, arn: str, expires: str) -> None:
    """What `aws login` leaves."""
    key = ec.generate_private_key(ec.SECP256R1())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    access = {"accessKeyId": "LOGIN", "secretAccessKey": secret("LOGIN"), "sessionToken": token("LOGIN")}
    content = {
        "accessToken": {**access, "accountId": ACCOUNT, "expiresAt": expires},
        "tokenType": "aws_sigv4",
        "refreshToken": "token-of-refreshing",
        "clientId": "arn:aws:signin:::devtools/same-device",
        "dpopKey": key.private_bytes(*form).decode(),
    }
    cache = home / ".aws" / "login" / "cache" / f"{hashlib.sha256(arn.encode()).hexdigest()}.json"
    cache.parent.mkdir(parents=True)
    cache.write_text(json.dumps(content))


@pytest.mark.parametrize("session", ["none", "expired", "good"])
def test_aws_login(probe: Probe, aws: HttpServer, home: Path, session: str) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:user/Admin"
    (home / ".aws" / "config").write_text(f"[profile work]\nlogin_session = {arn}\nregion = us-east-1\n")
    if session == "good":
        session_of_login(home, arn, LATER)
        assert probe({"AWS_ENDPOINT_URL": aws.url}, profile="work")["identity"]["UserId"] == "LOGIN"
        return
    if session == "expired":
        session_of_login(home, arn, EARLIER)
    gone = Answer(
        b'{"error": "TOKEN_EXPIRED", "message": "Refresh token has expired"}',
        400,
        {"x-amzn-ErrorType": "AccessDeniedException", "Content-Type": "application/json"},
    )
    with HttpServer(lambda request: gone if "token" in request.path else answer(request)) as server:
        details = refused(probe, server, profile="work")
    assert "`aws login` for profile 'work'" in details["found"]
    assert details["fix"].endswith("`aws login --profile work`")


def test_a_second_factor_is_said_to_be_out_of_reach(probe: Probe, home: Path) -> None:
    (home / ".aws" / "credentials").write_text(profile("base", "BASE"))
    serial = f"mfa_serial = arn:aws:iam::{ACCOUNT}:mfa/me\n"
    (home / ".aws" / "config").write_text(f"[profile work]\n{ROLE}source_profile = base\n{serial}")
    denied = Answer(
        b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>no MFA</Message></Error></ErrorResponse>", 403
    )
    with HttpServer(lambda _: denied) as server:
        details = refused(probe, server, profile="work")
    assert "profile 'work' asks for a code of a second factor (mfa_serial)" in details["found"]
    assert "aws sts get-session-token" in details["fix"]
    assert "aws_session_token" in details["fix"]


@pytest.mark.parametrize("given", ["option", "variable"])
def test_a_profile_of_another_machine(probe: Probe, aws: HttpServer, home: Path, given: str) -> None:
    (home / ".aws" / "credentials").write_text(profile("default", "DEFAULT") + profile("theirs", "THEIRS"))
    environment = {"AWS_PROFILE": "mine"} if given == "variable" else {}
    details = refused(probe, aws, environment, **({"profile": "mine"} if given == "option" else {}))
    assert details["found"].startswith(
        "profile 'mine' is looked up on the machine where the task is sent from (Covalent's server) and is not there"
    )
    folder = home / ".aws"
    assert (
        f"looked at {folder / 'config'} (not there) and {folder / 'credentials'}; there are default, theirs"
        in details["found"]
    )
    assert aws.requests == []


def test_a_source_that_is_not_there(probe: Probe, aws: HttpServer, home: Path) -> None:
    (home / ".aws" / "config").write_text(f"[profile work]\n{ROLE}source_profile = base\n")
    details = refused(probe, aws, profile="work")
    assert details["found"].startswith("profile 'work' names 'base' as its source_profile, which is not in ")


def test_files_that_the_environment_names_are_those_that_were_looked_at(
    probe: Probe, aws: HttpServer, tmp_path: Path
) -> None:
    places = {name: str(tmp_path / name) for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")}
    details = refused(probe, aws, places)
    assert details["found"].startswith("there are none in the environment (AWS_ACCESS_KEY_ID), in ")
    assert " and ".join(f"{place} (not there)" for place in places.values()) in details["found"]
    assert details["fix"].startswith("type `aws configure`")
    assert "Ec2InstanceMetadata" in details["providers"]
    assert "Ec2InstanceMetadata" not in details["found"]


def test_half_a_key(probe: Probe, aws: HttpServer) -> None:
    details = refused(probe, aws, {"AWS_ACCESS_KEY_ID": "K7MDENG"})
    assert details["found"] == "AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not"


@pytest.mark.parametrize("named", [{}, {"profile": "work"}])
@pytest.mark.parametrize("variable", ["AWS_CONFIG_FILE", ""])
def test_a_file_that_cannot_be_understood_is_named_with_its_line_alone(
    probe: Probe, aws: HttpServer, home: Path, named: dict[str, str], variable: str
) -> None:
    place = home / "of its own" if variable else home / ".aws" / "credentials"
    place.write_text("[work]\nregion = eu-west-1\naws_secret_access_key K7MDENG\n")
    details = refused(probe, aws, {variable: str(place)} if variable else {}, **named)
    assert details["found"] == f"{place} cannot be understood: line 3 is no part of a profile"
    assert "line 3" in details["fix"]
    assert aws.requests == []


@pytest.mark.parametrize("command", ["jobs", "policy user"])
def test_other_commands_need_two_lines_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    answer = CliRunner().invoke(main, [*command.split(), "--endpoint-url", "http://127.0.0.1:9"])
    *_, first, second = answer.stderr.splitlines()
    assert first.startswith("Error: no usable AWS credentials: there are none in the environment")
    assert second.startswith("    → type `aws configure`")
    narrow = CliRunner().invoke(main, [*command.split(), "--endpoint-url", "http://127.0.0.1:9"], env={"COLUMNS": "80"})
    assert " ".join(narrow.stderr.split()) == " ".join(answer.stderr.split()), "it is broken between words"
    assert len(narrow.stderr.splitlines()) > len(answer.stderr.splitlines())


@pytest.mark.parametrize("flags", [[], ["--verbose"], ["--json"]])
def test_the_doctor_needs_two_lines(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path, flags: list[str]
) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    said = CliRunner().invoke(main, ["doctor", "--endpoint-url", "http://127.0.0.1:9", *flags]).stdout
    assert not [record for record in caplog.records if record.name.startswith("aws_")]
    if "--json" in flags:
        check = json.loads(said)["checks"][0]
        assert "Ec2InstanceMetadata" in check["providers"]
        return
    lines = said.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("✗ "))
    assert "there are none in the environment (AWS_ACCESS_KEY_ID), in " in lines[at]
    assert lines[at + 1].split(maxsplit=1)[1].startswith("type `aws configure`")
    assert ("Ec2InstanceMetadata" in said) == ("--verbose" in flags)
