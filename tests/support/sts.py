"""A stand-in for whatever gives credentials: STS, the instance's metadata, a container's agent, the SSO portal."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

from .servers import Answer, Request

LATER = "2099-01-01T00:00:00Z"
ACCOUNT = "123456789012"


def secret(name: str) -> str:
    """The secret access key that belongs to the access key id `name`."""
    return f"secret-of-{name}"


def token(name: str) -> str:
    """The session token that belongs to the access key id `name`."""
    return f"token-of-{name}"


def profile(name: str, access_key: str) -> str:
    """A profile of a shared credentials file."""
    return f"[{name}]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret(access_key)}\n"


def answer(request: Request) -> Answer:
    """Answers as AWS does; who asks for the caller's identity gets the access key id that signed the request."""
    path = urlsplit(request.path).path
    if path == "/latest/api/token":
        return Answer(b"imds-session", headers={"x-aws-ec2-metadata-token-ttl-seconds": "21600"})
    if path.startswith("/latest/meta-data/iam/security-credentials"):
        return _instance(request, path)
    if path == "/container":
        if request.headers.get("authorization") != "container-secret":
            return Answer(b"{}", 401)
        return _json(**_flat("CONTAINER"))
    if path == "/federation/credentials":
        return _portal(request)
    return _sts(request)


def _instance(request: Request, path: str) -> Answer:
    if request.headers.get("x-aws-ec2-metadata-token") != "imds-session":
        return Answer(status=401)
    if path.rstrip("/").endswith("security-credentials"):
        return Answer(b"the-role")
    if not path.endswith("/security-credentials/the-role"):
        return Answer(status=404)
    return _json(Code="Success", Type="AWS-HMAC", LastUpdated="2020-01-01T00:00:00Z", **_flat("INSTANCE"))


def _portal(request: Request) -> Answer:
    if request.headers.get("x-amz-sso_bearer_token") != "sso-token":
        return Answer(b'{"message": "no session"}', 401, {"x-amzn-ErrorType": "UnauthorizedException"})
    role = {"accessKeyId": "SSO", "secretAccessKey": secret("SSO"), "sessionToken": token("SSO")}
    return _json(roleCredentials={**role, "expiration": 4070908800000})


def _sts(request: Request) -> Answer:
    asked = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
    action = asked["Action"]
    if action == "GetCallerIdentity":
        arn = f"arn:aws:iam::{ACCOUNT}:user/{request.access_key}"
        result = f"<Arn>{arn}</Arn><UserId>{request.access_key}</UserId><Account>{ACCOUNT}</Account>"
    else:
        key = {"AssumeRole": f"ROLE-BY-{request.access_key}", "AssumeRoleWithWebIdentity": "WEB"}[action]
        if action == "AssumeRoleWithWebIdentity" and asked["WebIdentityToken"] != "web-token":
            return Answer(b"<ErrorResponse><Error><Code>InvalidIdentityToken</Code></Error></ErrorResponse>", 400)
        result = (
            f"<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secret(key)}</SecretAccessKey>"
            f"<SessionToken>{token(key)}</SessionToken><Expiration>{LATER}</Expiration></Credentials>"
            f"<AssumedRoleUser><Arn>{asked['RoleArn']}</Arn><AssumedRoleId>x:y</AssumedRoleId></AssumedRoleUser>"
        )
    response = f"<{action}Response><{action}Result>{result}</{action}Result></{action}Response>"
    return Answer(response.encode(), headers={"Content-Type": "text/xml"})


def _flat(key: str) -> dict[str, str]:
    return {"AccessKeyId": key, "SecretAccessKey": secret(key), "Token": token(key), "Expiration": LATER}


def _json(**content: object) -> Answer:
    return Answer(json.dumps(content).encode(), headers={"Content-Type": "application/json"})
